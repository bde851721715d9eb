import { type ByteSource, type OpenedFile, readIfThere } from '../../image/byte-source';
import { fileOf } from '../image-file';
import type { Examined, SubformatOf } from '../image-format';
import { SECTOR_BYTES, cutOff, damaged, notClosed, unsupported, virtualBytesFrom } from '../refusals';

/*
 * Parallels' expandable image, which Virtuozzo and OpenVZ call ploop; QEMU, docs/interop/parallels.rst. Little
 * endian: a header of 64 bytes, a table of where each cluster is, the clusters.
 */
const IMAGE = 'The parallels image';
const HEADER_BYTES = 64;
const VERSION = 2;
const MAGIC: Readonly<Record<string, SubformatOf['parallels']>> = {
  WithoutFreeSpace: 'WithoutFreeSpace',
  WithouFreSpacExt: 'WithouFreSpacExt',
};
const MAGIC_BYTES = 16;
const IN_USE = 0x746f6e59;
const CLUSTER_SECTORS_MIN = 8;
const CLUSTER_SECTORS_MAX = 131_072;
const ENTRIES_MAX = 64 * 1024 * 1024;
const ENTRIES_PER_READ = 256 * 1024;

interface Header {
  readonly subformat: SubformatOf['parallels'];
  readonly clusterSectors: number;
  readonly entries: number;
  readonly virtualBytes: number;
  readonly dataSectors: number;
}

const magicOf = (head: Buffer): string => head.toString('latin1', 0, MAGIC_BYTES);

export function isParallels(head: Buffer): boolean {
  return Object.hasOwn(MAGIC, magicOf(head));
}

/** Examines an expandable image of Parallels or Virtuozzo by itself. See `examineImage`. */
export async function examineParallels(path: string, source: OpenedFile): Promise<Examined> {
  const header = await readHeader(source);
  await checkClusters(source, header);
  return {
    subformat: header.subformat,
    virtualBytes: header.virtualBytes,
    files: [fileOf(path, 'disk', source)],
    content: { kind: 'file', path, qemuFormat: 'parallels' },
  };
}

async function readHeader(source: ByteSource): Promise<Header> {
  const head = await readIfThere(source, 0, HEADER_BYTES);
  if (!head) throw cutOff(IMAGE, 'its header is not complete');
  const subformat = Object.hasOwn(MAGIC, magicOf(head)) ? MAGIC[magicOf(head)] : undefined;
  if (!subformat) throw damaged(IMAGE, 'it does not begin as one');
  const version = head.readUInt32LE(16);
  if (version !== VERSION)
    throw unsupported(IMAGE, `has version ${version}; version 2 can be read`, 'Export the disk again.');
  if (head.readUInt32LE(44) === IN_USE)
    throw notClosed(
      IMAGE,
      'it is marked as in use',
      'Stop the virtual machine or container; if nothing uses it, run "ploop check" or "prl_disk_tool" on it.',
    );
  const clusterSectors = head.readUInt32LE(28);
  const isPowerOfTwo = Number.isInteger(Math.log2(clusterSectors));
  // Parallels Desktop wrote images with 63 sectors (a track) a cluster.
  if (
    (!isPowerOfTwo && clusterSectors !== 63) ||
    clusterSectors < CLUSTER_SECTORS_MIN ||
    clusterSectors > CLUSTER_SECTORS_MAX
  )
    throw damaged(IMAGE, `clusters of ${clusterSectors} sectors are outside of what the format allows`);
  // The upper half of the size was something else in the older kind.
  const sectors = subformat === 'WithouFreSpacExt' ? head.readBigUInt64LE(36) : BigInt(head.readUInt32LE(36));
  const virtualBytes = virtualBytesFrom(IMAGE, sectors * BigInt(SECTOR_BYTES));
  const entries = head.readUInt32LE(32);
  if (entries > ENTRIES_MAX || entries * clusterSectors * SECTOR_BYTES < virtualBytes)
    throw damaged(IMAGE, `its table of ${entries} clusters does not fit the size of the disk`);
  if (head.readBigUInt64LE(56) !== 0n)
    throw unsupported(
      IMAGE,
      'has an extension for backups (changed block tracking), which is not known here',
      'Switch the tracking off for the disk, or convert it with "prl_disk_tool convert --merge".',
    );
  return { subformat, clusterSectors, entries, virtualBytes, dataSectors: head.readUInt32LE(48) };
}

/** Reads the table a piece at a time: every cluster is in the file, behind the table, and none is shared. */
async function checkClusters(source: ByteSource, header: Header): Promise<void> {
  const { clusterSectors, entries, subformat } = header;
  const clusterBytes = clusterSectors * SECTOR_BYTES;
  const tableEnd = HEADER_BYTES + entries * 4;
  if (tableEnd > source.sizeBytes) throw cutOff(IMAGE, 'its table of clusters is past the end');
  if (header.dataSectors !== 0 && header.dataSectors * SECTOR_BYTES < tableEnd)
    throw damaged(IMAGE, 'its data begin before the end of its table');
  if (source.sizeBytes / clusterBytes > 2 * ENTRIES_MAX)
    throw damaged(IMAGE, 'the file is longer than any disk needs');
  const sectorsPerUnit = subformat === 'WithouFreSpacExt' ? clusterSectors : 1;
  /** For each stretch of a cluster's length, whether a cluster begins in it. */
  const taken = new Uint8Array(Math.ceil(source.sizeBytes / clusterBytes) + 1);
  for (let first = 0; first < entries; first += ENTRIES_PER_READ) {
    const count = Math.min(ENTRIES_PER_READ, entries - first);
    const table = await source.read(HEADER_BYTES + first * 4, count * 4);
    for (let index = 0; index < count; index += 1) {
      const at = table.readUInt32LE(index * 4) * sectorsPerUnit * SECTOR_BYTES;
      if (at === 0) continue;
      if (at < tableEnd) throw damaged(IMAGE, `cluster ${first + index} lies on its table`);
      if (at + clusterBytes > source.sizeBytes)
        throw cutOff(IMAGE, `cluster ${first + index} is past the end`);
      const slot = Math.floor(at / clusterBytes);
      if (taken[slot]) throw damaged(IMAGE, 'two parts of the disk share a cluster');
      taken[slot] = 1;
    }
  }
}
