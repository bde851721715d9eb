import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type OpenedFile, openReadOnly } from '../../image/byte-source';
import { fileOf } from '../image-file';
import { ImageFolder } from '../image-folder';
import type { Examined } from '../image-format';
import {
  SECTOR_BYTES,
  cutOff,
  damaged,
  encrypted,
  needsOthers,
  unsupported,
  virtualBytesFrom,
} from '../refusals';
import { type XmlElement, XmlUnreadable, childrenOf, readXml, textAt } from '../xml/read-xml';
import { examineParallels } from './examine-parallels';

export const PLOOP_DESCRIPTOR = 'DiskDescriptor.xml';
const IMAGE = 'The ploop bundle';
const DESCRIPTOR_BYTES_MAX = 1024 * 1024;

/** The descriptor of a bundle that is named by its folder or by the descriptor itself; undefined for anything else. */
export async function ploopDescriptorOf(path: string): Promise<string | undefined> {
  if (basename(path) === PLOOP_DESCRIPTOR) return path;
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ? join(path, PLOOP_DESCRIPTOR) : undefined;
}

/** Examines a bundle of Virtuozzo, OpenVZ or Parallels: a descriptor and one image beside it. See `examineImage`. */
export async function examinePloop(descriptorPath: string): Promise<Examined> {
  const descriptor = await openReadOnly(descriptorPath);
  let told: Told;
  try {
    if (descriptor.sizeBytes > DESCRIPTOR_BYTES_MAX)
      throw damaged(IMAGE, `its descriptor is longer than ${DESCRIPTOR_BYTES_MAX} bytes`);
    const text = (await descriptor.read(0, descriptor.sizeBytes)).toString('utf8');
    told = parseDescriptor(text);
  } finally {
    await descriptor.close();
  }
  const image = await ImageFolder.of(descriptorPath, IMAGE).open(told.fileName);
  try {
    const examined = await examineTop(image.path, image, told);
    const files = [fileOf(descriptorPath, 'descriptor', descriptor), ...examined.files];
    return { ...examined, files };
  } finally {
    await image.close();
  }
}

interface Told {
  readonly virtualBytes: number;
  readonly fileName: string;
  readonly isPlain: boolean;
}

async function examineTop(path: string, source: OpenedFile, told: Told): Promise<Examined> {
  const { virtualBytes, isPlain } = told;
  if (isPlain) {
    if (source.sizeBytes < virtualBytes)
      throw cutOff(IMAGE, `its image has ${source.sizeBytes} bytes of ${virtualBytes}`);
    return {
      subformat: 'plain',
      virtualBytes,
      files: [fileOf(path, 'disk', source)],
      content: { kind: 'slice', path, offset: 0, lengthBytes: virtualBytes },
    };
  }
  const examined = await examineParallels(path, source);
  if (examined.virtualBytes !== virtualBytes)
    throw damaged(IMAGE, 'its descriptor and its image tell different sizes');
  return { ...examined, subformat: 'expanded' };
}

function parseDescriptor(text: string): Told {
  const root = readDescriptor(text);
  if (root.name !== 'Parallels_disk_image')
    throw damaged(IMAGE, `${PLOOP_DESCRIPTOR} describes no disk of Parallels or Virtuozzo`);
  if (root.attributes.get('Version') !== '1.0')
    throw unsupported(IMAGE, 'has a descriptor of another version than 1.0', 'Export the disk again.');
  const parameters = childrenOf([root], 'Disk_Parameters');
  if (childrenOf(parameters, 'Encryption').length > 0) throw encrypted(IMAGE);

  const storages = childrenOf(childrenOf([root], 'StorageData'), 'Storage');
  const images = childrenOf(storages, 'Image');
  const shots = childrenOf(childrenOf([root], 'Snapshots'), 'Shot');
  if (images.length > 1 || shots.length > 1)
    throw needsOthers(
      IMAGE,
      `consists of ${Math.max(images.length, shots.length)} snapshots`,
      'Merge them on the host that it comes from ("ploop snapshot-merge -A", "prlctl snapshot-delete").',
    );
  const [storage] = storages;
  const [image] = images;
  if (storages.length !== 1 || !storage || !image) throw damaged(IMAGE, 'its descriptor names no image');
  const size = textAt(root, 'Disk_Parameters', 'Disk_size') ?? '';
  if (!/^\d{1,18}$/.test(size)) throw damaged(IMAGE, 'its descriptor does not say how large the disk is');
  if (textAt(storage, 'Start') !== '0' || textAt(storage, 'End') !== size)
    throw damaged(IMAGE, 'its image is only a part of the disk');
  const type = textAt(image, 'Type');
  if (type !== 'Compressed' && type !== 'Plain')
    throw damaged(IMAGE, 'its descriptor does not say what kind of image it is');
  return {
    virtualBytes: virtualBytesFrom(IMAGE, BigInt(size) * BigInt(SECTOR_BYTES)),
    fileName: textAt(image, 'File') ?? '',
    isPlain: type === 'Plain',
  };
}

function readDescriptor(text: string): XmlElement {
  try {
    return readXml(text);
  } catch (error) {
    if (error instanceof XmlUnreadable)
      throw damaged(IMAGE, `${PLOOP_DESCRIPTOR} cannot be read: ${error.message}`);
    throw error;
  }
}
