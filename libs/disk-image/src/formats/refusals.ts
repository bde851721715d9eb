import { DiskUnusable } from '../errors';

/** The largest disk that any image may claim; the most that Hyper-V and VMware have. */
export const VIRTUAL_BYTES_MAX = 64 * 1024 ** 4;

export const SECTOR_BYTES = 512;

/** `image` says what it is, with its article: "The VMDK image". */
export function damaged(image: string, what: string, cause?: unknown): DiskUnusable {
  return new DiskUnusable(
    'DISK_DAMAGED',
    `${image} is damaged: ${what}. Check it with the tool that wrote it, or copy it again.`,
    { cause },
  );
}

export function cutOff(image: string, what: string): DiskUnusable {
  return new DiskUnusable('DISK_TRUNCATED', `${image} is cut off: ${what}. Copy it again, in full.`);
}

/** It is only a part of a disk, or would make a reader open a file that is not a part of it. */
export function needsOthers(image: string, what: string, todo: string): DiskUnusable {
  return new DiskUnusable('DISK_HAS_BACKING_FILE', `${image} ${what}. ${todo}`);
}

export function unsupported(image: string, what: string, todo: string): DiskUnusable {
  return new DiskUnusable('DISK_FORMAT_UNSUPPORTED', `${image} ${what}. ${todo}`);
}

/** Something still has it open, or ended without closing it: what it holds may not be all in place. */
export function notClosed(image: string, what: string, todo: string): DiskUnusable {
  return new DiskUnusable('DISK_DAMAGED', `${image} was not closed cleanly: ${what}. ${todo}`);
}

export function encrypted(image: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_ENCRYPTED',
    `${image} is encrypted. Remove the encryption on the platform that it comes from, then export it again.`,
  );
}

/** A size in bytes that an image claims, as a number. Throws DISK_DAMAGED or DISK_TOO_LARGE. */
export function virtualBytesFrom(image: string, bytes: bigint): number {
  if (bytes <= 0n) throw damaged(image, 'it says that the disk has no size');
  if (bytes > BigInt(VIRTUAL_BYTES_MAX))
    throw new DiskUnusable(
      'DISK_TOO_LARGE',
      `${image} says that the disk has ${bytes} bytes; up to ${VIRTUAL_BYTES_MAX} are taken.`,
    );
  if (bytes % BigInt(SECTOR_BYTES) !== 0n)
    throw damaged(image, `a disk of ${bytes} bytes does not consist of sectors of ${SECTOR_BYTES} bytes`);
  return Number(bytes);
}

/** An offset that an image claims, as a number; 2^53 and beyond are no place in a file. */
export function offsetFrom(image: string, bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw cutOff(image, `it points to byte ${bytes}`);
  return Number(bytes);
}

/** What an image says, made fit for a message: short, and without characters that a terminal would act on. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
