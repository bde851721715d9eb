import { DiskUnusable } from '../errors';
import { type OpenedFile, openReadOnly } from '../image/byte-source';
import { readDiskShape } from '../image/disk-format';
import { isParallels, examineParallels } from './parallels/examine-parallels';
import { PLOOP_DESCRIPTOR, examinePloop, ploopDescriptorOf } from './parallels/examine-ploop';
import { fileOf } from './image-file';
import type { Examined, ImageExamination, ImageFormat } from './image-format';
import { type ExamineOvaOptions, examineOva } from './ova/examine-ova';
import { isTar } from './ova/tar';
import { SECTOR_BYTES, cutOff, damaged, virtualBytesFrom } from './refusals';
import { examineVhd, isVhd } from './vhd/examine-vhd';
import { examineVhdx, isVhdx } from './vhdx/examine-vhdx';
import { examineVmdk, isVmdk } from './vmdk/examine-vmdk';

export interface ExamineImageOptions extends ExamineOvaOptions {
  /** What the image is said to be. Without it its content decides, which its owner could have prepared. */
  readonly format?: ImageFormat;
  /** The largest disk that is taken; default 64 TiB. */
  readonly virtualBytesMax?: number;
}

/**
 * Says what a disk image is, by its own headers and tables. All of its files are only read, within bounds, and
 * everything is refused that would lead a reader of the format astray: other files than its own, parents,
 * tables that point out of it, unknown features, an end that is missing.
 *
 * Rejects with DiskUnusable: DISK_NOT_FOUND, DISK_NOT_READABLE, DISK_NOT_AN_IMAGE, DISK_FORMAT_UNSUPPORTED,
 * DISK_TRUNCATED, DISK_DAMAGED, DISK_ENCRYPTED, DISK_TOO_LARGE or DISK_HAS_BACKING_FILE; the message says what
 * to do.
 */
export async function examineImage(
  path: string,
  options: ExamineImageOptions = {},
): Promise<ImageExamination> {
  const examination = await examine(path, options);
  const { virtualBytesMax } = options;
  if (virtualBytesMax !== undefined && examination.virtualBytes > virtualBytesMax)
    throw new DiskUnusable(
      'DISK_TOO_LARGE',
      `The disk in ${path} has ${examination.virtualBytes} bytes; up to ${virtualBytesMax} are taken here. Raise the limit, or shrink the disk.`,
    );
  return examination;
}

async function examine(path: string, options: ExamineImageOptions): Promise<ImageExamination> {
  const formatBy = options.format === undefined ? 'content' : 'caller';
  const descriptor = await ploopDescriptorOf(path);
  if (descriptor !== undefined) {
    if (options.format !== undefined && options.format !== 'ploop')
      throw new DiskUnusable(
        'DISK_NOT_AN_IMAGE',
        `${path} is a folder or a ${PLOOP_DESCRIPTOR}, not a ${options.format} image. Give the image's file.`,
      );
    const examined = await examinePloop(descriptor).catch((error: unknown) => {
      throw descriptor === path ? error : asNoBundle(error, path);
    });
    return { format: 'ploop', formatBy, ...examined };
  }
  const source = await openReadOnly(path);
  try {
    const format = options.format ?? (await formatOf(source));
    return { format, formatBy, ...(await examineAs(format, path, source, options)) };
  } finally {
    await source.close();
  }
}

/** A folder that has no descriptor was not meant to be a bundle. */
function asNoBundle(error: unknown, path: string): unknown {
  if (!(error instanceof DiskUnusable) || error.code !== 'DISK_NOT_FOUND') return error;
  return new DiskUnusable(
    'DISK_NOT_AN_IMAGE',
    `${path} is a folder without a ${PLOOP_DESCRIPTOR}. Give the image's file.`,
    { cause: error },
  );
}

async function formatOf(source: OpenedFile): Promise<ImageFormat> {
  const head = await source.read(0, Math.min(SECTOR_BYTES, source.sizeBytes));
  // A boot sector's code may hold any letters; what ends like a boot sector is one.
  const isBootable = head.length === SECTOR_BYTES && head.readUInt16LE(SECTOR_BYTES - 2) === 0xaa55;
  if (!isBootable) {
    if (isVmdk(head)) return 'vmdk';
    if (isVhdx(head)) return 'vhdx';
    if (isParallels(head)) return 'parallels';
    if (isTar(head)) return 'ova';
  }
  if (await isVhd(source)) return 'vhd';
  return (await readDiskShape(source)).format;
}

async function examineAs(
  format: ImageFormat,
  path: string,
  source: OpenedFile,
  options: ExamineImageOptions,
): Promise<Examined> {
  switch (format) {
    case 'raw':
      return await examineRaw(path, source);
    case 'qcow2':
      return examineQcow2(path, source);
    case 'vmdk':
      return examineVmdk(path, source);
    case 'vhd':
      return examineVhd(path, source);
    case 'vhdx':
      return examineVhdx(path, source);
    case 'parallels':
      return examineParallels(path, source);
    case 'ova':
      return examineOva(path, source, options);
    case 'ploop':
      throw new DiskUnusable(
        'DISK_NOT_AN_IMAGE',
        `${path} is no ploop bundle. Give the folder that holds its ${PLOOP_DESCRIPTOR}; an image by itself is of the format parallels.`,
      );
  }
}

async function examineRaw(path: string, source: OpenedFile): Promise<Examined> {
  const image = 'The raw image';
  if (source.sizeBytes < SECTOR_BYTES) throw damaged(image, 'it is shorter than a sector');
  if (source.sizeBytes % SECTOR_BYTES !== 0) {
    const head = await source.read(0, SECTOR_BYTES);
    // Where nothing says that it ever was a disk, it is not one that was cut off.
    if (head.readUInt16LE(SECTOR_BYTES - 2) !== 0xaa55)
      throw new DiskUnusable(
        'DISK_NOT_AN_IMAGE',
        `${path} is no image of a format that is known, and no disk: it ends within a sector. Give the image of a whole disk.`,
      );
    throw cutOff(image, 'its last sector is not complete');
  }
  const virtualBytes = virtualBytesFrom(image, BigInt(source.sizeBytes));
  return {
    subformat: 'raw',
    virtualBytes,
    files: [fileOf(path, 'disk', source)],
    content: { kind: 'slice', path, offset: 0, lengthBytes: virtualBytes },
  };
}

async function examineQcow2(path: string, source: OpenedFile): Promise<Examined> {
  const { virtualSizeBytes } = await readDiskShape(source, 'qcow2');
  return {
    subformat: 'qcow2',
    virtualBytes: virtualSizeBytes,
    files: [fileOf(path, 'disk', source)],
    content: { kind: 'file', path, qemuFormat: 'qcow2' },
  };
}
