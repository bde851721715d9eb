import { DiskUnusable } from '../errors';
import { type ByteSource, readIfThere } from './byte-source';

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly virtualSizeBytes: number;
  readonly clusterBytes: number;
}

export const QCOW2_MAGIC = 0x514649fb;
const HEADER_BYTES = 104;
const HEADER_V2_BYTES = 72;
const CLUSTER_BITS_MIN = 9;
const CLUSTER_BITS_MAX = 21;
const VIRTUAL_BYTES_MAX = 64n * 1024n ** 4n;
const L1_BYTES_MAX = 32 * 1024 * 1024;

const INCOMPATIBLE = { dirty: 1n, corrupt: 2n, externalData: 4n, compressionType: 8n, extendedL2: 16n };
const EXTENSION = { end: 0, externalDataName: 0x44415441, encryption: 0x0537be77 };
const EXTENSIONS_MAX = 64;

/**
 * Reads the header of a qcow2 image. Everything that would make a reader look into another file is refused,
 * as are features that we do not know.
 */
export async function readQcow2Header(source: ByteSource): Promise<Qcow2Header> {
  const head = await readIfThere(source, 0, Math.min(HEADER_BYTES, source.sizeBytes));
  if (!head || head.length < HEADER_V2_BYTES) throw cutOff('its header is not complete');
  if (head.readUInt32BE(0) !== QCOW2_MAGIC)
    throw new DiskUnusable(
      'DISK_NOT_AN_IMAGE',
      'The image has no qcow2 header. If it is a raw image, say so with the format raw.',
    );
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3)
    throw new DiskUnusable(
      'DISK_FORMAT_UNSUPPORTED',
      `This is qcow2 version ${version}; versions 2 and 3 can be read. Convert it with "qemu-img convert -O qcow2".`,
    );
  if (version === 3 && head.length < HEADER_BYTES) throw cutOff('its header is not complete');

  refuseOtherFiles(head);
  const clusterBytes = clusterBytesOf(head);
  if (version === 3) {
    refuseFeatures(head.readBigUInt64BE(72));
    await refuseExtensions(source, head.readUInt32BE(100), clusterBytes);
  }
  return { version, clusterBytes, virtualSizeBytes: virtualBytesOf(head, clusterBytes, source.sizeBytes) };
}

function refuseOtherFiles(head: Buffer): void {
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0)
    throw new DiskUnusable(
      'DISK_HAS_BACKING_FILE',
      'The qcow2 image names a backing file, so it is only a part of a disk. Write the whole disk into one file: "qemu-img convert -O qcow2".',
    );
  if (head.readUInt32BE(32) !== 0)
    throw new DiskUnusable(
      'DISK_ENCRYPTED',
      'The qcow2 image is encrypted. Give an image without encryption.',
    );
}

function clusterBytesOf(head: Buffer): number {
  const bits = head.readUInt32BE(20);
  if (bits < CLUSTER_BITS_MIN || bits > CLUSTER_BITS_MAX)
    throw damaged(`a cluster size of 2^${bits} bytes is outside of what the format allows`);
  return 2 ** bits;
}

function virtualBytesOf(head: Buffer, clusterBytes: number, fileBytes: number): number {
  const virtualBytes = head.readBigUInt64BE(24);
  if (virtualBytes === 0n) throw damaged('it says that the disk has no size');
  if (virtualBytes > VIRTUAL_BYTES_MAX)
    throw new DiskUnusable(
      'DISK_TOO_LARGE',
      `The qcow2 image says that the disk has ${virtualBytes} bytes; up to ${VIRTUAL_BYTES_MAX} are taken.`,
    );
  const l1Bytes = head.readUInt32BE(36) * 8;
  const bytesPerL1Entry = (BigInt(clusterBytes) * BigInt(clusterBytes)) / 8n;
  const l1EntriesMin = (virtualBytes + bytesPerL1Entry - 1n) / bytesPerL1Entry;
  if (l1Bytes > L1_BYTES_MAX || BigInt(l1Bytes / 8) < l1EntriesMin)
    throw damaged('the size of its first table does not fit the size of the disk');
  for (const [table, offset, lengthBytes] of [
    ['first', head.readBigUInt64BE(40), BigInt(l1Bytes)],
    ['reference count', head.readBigUInt64BE(48), BigInt(head.readUInt32BE(56)) * BigInt(clusterBytes)],
  ] as const) {
    if (offset % BigInt(clusterBytes) !== 0n) throw damaged(`its ${table} table is not where it could be`);
    if (offset + lengthBytes > BigInt(fileBytes)) throw cutOff(`its ${table} table is past the end`);
  }
  return Number(virtualBytes);
}

function refuseFeatures(incompatible: bigint): void {
  if (incompatible & INCOMPATIBLE.corrupt) throw damaged('it is marked as corrupt');
  if (incompatible & INCOMPATIBLE.externalData) throw externalData();
  const known =
    INCOMPATIBLE.dirty |
    INCOMPATIBLE.corrupt |
    INCOMPATIBLE.externalData |
    INCOMPATIBLE.compressionType |
    INCOMPATIBLE.extendedL2;
  const unknown = incompatible & ~known;
  if (unknown)
    throw new DiskUnusable(
      'DISK_FORMAT_UNSUPPORTED',
      `The qcow2 image uses features that are not known here (0x${unknown.toString(16)}). Convert it to raw with the tool that wrote it.`,
    );
}

async function refuseExtensions(source: ByteSource, start: number, clusterBytes: number): Promise<void> {
  if (start < HEADER_BYTES || start > clusterBytes) throw damaged('its header has an impossible length');
  let offset = start;
  for (let count = 0; count < EXTENSIONS_MAX; count++) {
    const extension = await readIfThere(source, offset, 8);
    if (!extension || offset + 8 > clusterBytes) return;
    const type = extension.readUInt32BE(0);
    if (type === EXTENSION.end) return;
    if (type === EXTENSION.externalDataName) throw externalData();
    if (type === EXTENSION.encryption)
      throw new DiskUnusable('DISK_ENCRYPTED', 'The qcow2 image is encrypted. Give one without encryption.');
    offset += 8 + Math.ceil(extension.readUInt32BE(4) / 8) * 8;
  }
  throw damaged('its header has too many extensions');
}

function externalData(): DiskUnusable {
  return new DiskUnusable(
    'DISK_HAS_BACKING_FILE',
    'The qcow2 image keeps its data in another file. Write the whole disk into one file: "qemu-img convert -O qcow2".',
  );
}

function damaged(what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_DAMAGED',
    `The qcow2 image is damaged: ${what}. Check it with "qemu-img check", or copy it again.`,
  );
}

function cutOff(what: string): DiskUnusable {
  return new DiskUnusable('DISK_TRUNCATED', `The qcow2 image is cut off: ${what}. Copy it again, in full.`);
}
