import type { ByteSource, OpenedFile } from '../../image/byte-source';
import { fileOf } from '../image-file';
import { ImageFolder, type ImagePart, refuseOddName } from '../image-folder';
import type { Examined, ExtentContent, ImageFile, SubformatOf } from '../image-format';
import { SECTOR_BYTES, cutOff, damaged, quoted, unsupported, virtualBytesFrom } from '../refusals';
import {
  DESCRIPTOR_BYTES_MAX,
  type VmdkDescriptor,
  type VmdkExtent,
  isVmdkDescriptor,
  parseVmdkDescriptor,
} from './descriptor';
import { SPARSE_MAGIC, type SparseExtent, examineSparseExtent } from './sparse-extent';

const IMAGE = 'The VMDK image';
type Subformat = SubformatOf['vmdk'];

/** Kinds of disks that a descriptor can tell of, and what their extents are. */
const DESCRIBED: Readonly<Record<string, { subformat: Subformat; types: readonly VmdkExtent['type'][] }>> = {
  monolithicFlat: { subformat: 'monolithicFlat', types: ['FLAT'] },
  twoGbMaxExtentFlat: { subformat: 'twoGbMaxExtentFlat', types: ['FLAT', 'ZERO'] },
  twoGbMaxExtentSparse: { subformat: 'twoGbMaxExtentSparse', types: ['SPARSE', 'ZERO'] },
  vmfs: { subformat: 'vmfs', types: ['VMFS', 'FLAT'] },
};

/** Whether a file begins like a VMDK image: a sparse extent, or a descriptor. */
export function isVmdk(head: Buffer): boolean {
  return head.subarray(0, SPARSE_MAGIC.length).equals(SPARSE_MAGIC) || isVmdkDescriptor(head);
}

/** Examines a VMDK image with all of its extents, which are in its folder. See `examineImage`. */
export async function examineVmdk(path: string, source: OpenedFile): Promise<Examined> {
  const head = await source.read(0, Math.min(source.sizeBytes, SECTOR_BYTES));
  if (!isVmdkDescriptor(head)) {
    const { subformat, virtualBytes, hasFooter } = await examineSingleVmdk(IMAGE, source);
    const sectors = virtualBytes / SECTOR_BYTES;
    return {
      subformat,
      virtualBytes,
      files: [fileOf(path, 'disk', source)],
      // qemu-img finds a footer only where it takes the file as the whole image.
      content: hasFooter
        ? { kind: 'single-vmdk', path, offset: 0, lengthBytes: source.sizeBytes, isGzipped: false }
        : { kind: 'extents', extents: [{ type: 'sparse', sectors, path, offsetSectors: 0 }] },
    };
  }
  if (source.sizeBytes > DESCRIPTOR_BYTES_MAX)
    throw damaged(IMAGE, `its descriptor is longer than ${DESCRIPTOR_BYTES_MAX} bytes`);
  const text = (await source.read(0, source.sizeBytes)).toString('utf8');
  return examineDescribed(path, source, parseVmdkDescriptor(IMAGE, text));
}

export interface SingleVmdk {
  readonly subformat: 'monolithicSparse' | 'streamOptimized';
  readonly virtualBytes: number;
  readonly hasFooter: boolean;
}

/** A VMDK that is one file with header and descriptor in it; `source` may be a part of an archive. */
export async function examineSingleVmdk(image: string, source: ByteSource): Promise<SingleVmdk> {
  const extent = await examineSparseExtent(image, source);
  const { createType, extents } = await readOwnDescriptor(image, source, extent);
  const [own] = extents;
  if (!own || extents.length > 1 || own.type !== 'SPARSE')
    throw unsupported(
      image,
      'has a descriptor in it that tells of other extents',
      'Export the disk as a single file.',
    );
  refuseOddName(image, own.name ?? '');
  if (own.sectors * SECTOR_BYTES !== extent.virtualBytes)
    throw damaged(image, 'its header and its descriptor tell different sizes');
  if (createType !== 'monolithicSparse' && createType !== 'streamOptimized')
    throw unsupported(
      image,
      `is of the kind ${quoted(createType)}`,
      'Export the disk as a single file, as monolithicSparse or streamOptimized.',
    );
  return { subformat: createType, virtualBytes: extent.virtualBytes, hasFooter: extent.hasFooter };
}

async function readOwnDescriptor(
  image: string,
  source: ByteSource,
  { descriptor }: SparseExtent,
): Promise<VmdkDescriptor> {
  if (!descriptor) throw onlyAnExtent(image);
  if (descriptor.lengthBytes > DESCRIPTOR_BYTES_MAX)
    throw damaged(image, `its descriptor is longer than ${DESCRIPTOR_BYTES_MAX} bytes`);
  if (descriptor.offset + descriptor.lengthBytes > source.sizeBytes)
    throw cutOff(image, 'its descriptor is past the end');
  const text = await source.read(descriptor.offset, descriptor.lengthBytes);
  // Some writers leave room for one in every extent.
  if (text.every((byte) => byte === 0)) throw onlyAnExtent(image);
  return parseVmdkDescriptor(image, text.toString('utf8'));
}

function onlyAnExtent(image: string): Error {
  return unsupported(
    image,
    'has no descriptor in it: it is one of several extents',
    'Give the small .vmdk file that names the extents.',
  );
}

async function examineDescribed(
  path: string,
  source: OpenedFile,
  { createType, extents }: VmdkDescriptor,
): Promise<Examined> {
  const kind = Object.hasOwn(DESCRIBED, createType) ? DESCRIBED[createType] : undefined;
  if (!kind)
    throw unsupported(
      IMAGE,
      `is of the kind ${quoted(createType)}`,
      'Devices and snapshots are not taken: clone the disk into a file of its own ("vmkfstools -i", or an export).',
    );
  const folder = ImageFolder.of(path, IMAGE);
  const files: ImageFile[] = [fileOf(path, 'descriptor', source)];
  const contents: ExtentContent[] = [];
  let sectors = 0n;
  for (const extent of extents) {
    if (!kind.types.includes(extent.type))
      throw damaged(IMAGE, `a ${createType} disk has no extents of the kind ${extent.type}`);
    sectors += BigInt(extent.sectors);
    virtualBytesFrom(IMAGE, sectors * BigInt(SECTOR_BYTES));
    if (extent.name === undefined) {
      contents.push({ type: 'zero', sectors: extent.sectors, offsetSectors: 0 });
      continue;
    }
    const part = await folder.open(extent.name);
    try {
      contents.push(await examineExtent(part, extent));
      files.push(fileOf(part.path, 'extent', part));
    } finally {
      await part.close();
    }
  }
  return {
    subformat: kind.subformat,
    virtualBytes: Number(sectors) * SECTOR_BYTES,
    files,
    content: { kind: 'extents', extents: contents },
  };
}

async function examineExtent(part: ImagePart, extent: VmdkExtent): Promise<ExtentContent> {
  const { sectors, offsetSectors, type } = extent;
  const image = `The extent ${quoted(extent.name ?? '')} of the VMDK image`;
  if (type === 'SPARSE') {
    const { virtualBytes, hasFooter } = await examineSparseExtent(image, part);
    if (hasFooter)
      throw unsupported(image, 'is a stream, which is a disk by itself', 'Export the disk as a single file.');
    if (virtualBytes !== sectors * SECTOR_BYTES)
      throw damaged(image, 'its header and the descriptor tell different sizes');
    return { type: 'sparse', sectors, path: part.path, offsetSectors: 0 };
  }
  const endBytes = (offsetSectors + sectors) * SECTOR_BYTES;
  if (endBytes > part.sizeBytes)
    throw cutOff(image, `it has ${part.sizeBytes} bytes, and ${endBytes} are needed`);
  return { type: 'flat', sectors, path: part.path, offsetSectors };
}
