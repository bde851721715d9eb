import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';
import { type ByteSource, type OpenedFile, bytesOf, sliceOf } from '../../image/byte-source';
import { fileOf } from '../image-file';
import type { Examined } from '../image-format';
import { SECTOR_BYTES, cutOff, damaged, quoted, unsupported } from '../refusals';
import { examineSingleVmdk } from '../vmdk/examine-vmdk';
import { SPARSE_MAGIC } from '../vmdk/sparse-extent';
import { MANIFEST_BYTES_MAX, checkDigests, parseManifest } from './manifest';
import { OVF_BYTES_MAX, type OvfDisk, parseOvf } from './ovf';
import { type TarEntry, readTar } from './tar';

const IMAGE = 'The OVA';
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b, 0x08]);
const GZIP_PEEK_BYTES = 64 * 1024;
const unzip = promisify(gunzip);

export interface ExamineOvaOptions {
  /** Which disk of several. */
  readonly diskId?: string;
  /** Digests take reading all of the archive. */
  readonly skipDigests?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (fraction: number) => void;
}

/** Examines an archive with a descriptor and the disks that it names. See `examineImage`. */
export async function examineOva(
  path: string,
  source: OpenedFile,
  options: ExamineOvaOptions = {},
): Promise<Examined> {
  const entries = await readTar(IMAGE, source);
  const descriptor = only(entries, '.ovf');
  if (!descriptor)
    throw unsupported(
      IMAGE,
      'holds no OVF descriptor',
      'Give an archive that a platform exported, or unpack it and give the disk.',
    );
  const text = await readText(source, descriptor, OVF_BYTES_MAX);
  const disk = chooseDisk(parseOvf(IMAGE, text), options.diskId);
  const member = entries.find(({ name }) => name === disk.fileName);
  if (!member)
    throw cutOff(IMAGE, `its descriptor names the file ${quoted(disk.fileName)}, which is not in it`);

  const subformat = disk.isGzipped ? 'vmdk-gzip' : 'vmdk';
  const virtualBytes = disk.isGzipped
    ? await peekIntoGzip(source, member, disk)
    : await checkDisk(sliceOf(source, member.offset, member.lengthBytes), disk);
  return {
    subformat,
    virtualBytes,
    files: [fileOf(path, 'archive', source)],
    content: {
      kind: 'single-vmdk',
      path,
      offset: member.offset,
      lengthBytes: member.lengthBytes,
      isGzipped: disk.isGzipped,
    },
    digests: await checkManifest(source, entries, [descriptor, member], options),
  };
}

function only(entries: readonly TarEntry[], suffix: string): TarEntry | undefined {
  const found = entries.filter(({ name }) => name.toLowerCase().endsWith(suffix));
  if (found.length > 1) throw damaged(IMAGE, `it holds ${found.length} files that end in ${suffix}`);
  return found[0];
}

async function readText(source: ByteSource, entry: TarEntry, bytesMax: number): Promise<string> {
  if (entry.lengthBytes > bytesMax)
    throw damaged(IMAGE, `${quoted(entry.name)} is longer than ${bytesMax} bytes`);
  return (await source.read(entry.offset, entry.lengthBytes)).toString('utf8');
}

function chooseDisk(disks: readonly OvfDisk[], diskId: string | undefined): OvfDisk {
  const found = diskId === undefined ? disks : disks.filter((disk) => disk.diskId === diskId);
  const [disk] = found;
  if (disk && found.length === 1) return disk;
  const names = disks.map((each) => quoted(each.diskId)).join(', ');
  if (disks.length === 0)
    throw unsupported(IMAGE, 'holds no disk with content', 'Export the virtual machine with its disks.');
  throw unsupported(
    IMAGE,
    diskId === undefined ? `holds ${disks.length} disks (${names})` : `holds no disk ${quoted(diskId)}`,
    `Say which disk is meant, of ${names}.`,
  );
}

/** Resolves with the size of the disk. */
async function checkDisk(content: ByteSource, disk: OvfDisk): Promise<number> {
  const image = `The disk ${quoted(disk.fileName)} of the OVA`;
  const head = await content.read(0, Math.min(content.sizeBytes, SPARSE_MAGIC.length));
  if (!head.equals(SPARSE_MAGIC)) throw notVmdk(image, disk);
  const { virtualBytes } = await examineSingleVmdk(image, content);
  return checkCapacity(image, virtualBytes, disk);
}

/** Only the front is unpacked here; the disk is examined as a whole once it is unpacked. */
async function peekIntoGzip(source: ByteSource, member: TarEntry, disk: OvfDisk): Promise<number> {
  const image = `The disk ${quoted(disk.fileName)} of the OVA`;
  const front = await source.read(member.offset, Math.min(GZIP_PEEK_BYTES, member.lengthBytes));
  if (!front.subarray(0, GZIP_MAGIC.length).equals(GZIP_MAGIC))
    throw damaged(image, 'its descriptor says that it is packed by gzip, and it is not');
  // Not flushing to the end takes a front for what it is.
  const unpacked = await unzip(front, {
    finishFlush: constants.Z_SYNC_FLUSH,
    maxOutputLength: 128 * 1024 * 1024,
  }).catch((error: Error) => {
    throw damaged(image, `it cannot be unpacked (${error.message})`);
  });
  const head = bytesOf(unpacked);
  if (head.sizeBytes < SECTOR_BYTES) throw cutOff(image, 'its header is not complete');
  if (!unpacked.subarray(0, SPARSE_MAGIC.length).equals(SPARSE_MAGIC)) throw notVmdk(image, disk);
  return checkCapacity(image, Number(unpacked.readBigUInt64LE(12)) * SECTOR_BYTES, disk);
}

function checkCapacity(image: string, virtualBytes: number, disk: OvfDisk): number {
  // Descriptors round up to their unit, such as whole GiB.
  if (virtualBytes <= 0 || virtualBytes > disk.virtualBytes)
    throw damaged(image, `it has ${virtualBytes} bytes, and the descriptor says ${disk.virtualBytes}`);
  return virtualBytes;
}

function notVmdk(image: string, disk: OvfDisk): Error {
  return unsupported(
    image,
    `is no VMDK of one file (${quoted(disk.formatUri)})`,
    'Unpack the archive and give the disk, or export it again as OVA with VMDK disks.',
  );
}

async function checkManifest(
  source: ByteSource,
  entries: readonly TarEntry[],
  used: readonly TarEntry[],
  { skipDigests = false, signal, onProgress }: ExamineOvaOptions,
): Promise<'checked' | 'skipped' | 'none'> {
  const member = only(entries, '.mf');
  if (!member) return 'none';
  const manifest = parseManifest(IMAGE, await readText(source, member, MANIFEST_BYTES_MAX));
  for (const name of manifest.keys())
    if (!entries.some((entry) => entry.name === name))
      throw cutOff(IMAGE, `its manifest lists ${quoted(name)}, which is not in it`);
  if (skipDigests) return 'skipped';
  const allBytes = used.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  let doneBytes = 0;
  await checkDigests(IMAGE, source, manifest, used, {
    ...(signal && { signal }),
    onBytes: (bytes) => {
      doneBytes += bytes;
      onProgress?.(doneBytes / allBytes);
    },
  });
  return 'checked';
}
