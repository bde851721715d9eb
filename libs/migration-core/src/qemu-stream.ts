/*
 * QEMU's migration stream, as far as page copy needs it (all numbers big-endian):
 *
 *   "QEVM" version:4
 *   07 configuration: length:4 machine-type
 *   08 command: number:2 length:2 payload                           (any number of times, anywhere)
 *   01 section start: id:4 length:1 "ram" instance:4 version:4  content  7e id:4
 *   02 section part:  id:4                                       content  7e id:4     (many)
 *   03 section end:   id:4                                       content  7e id:4
 *   04 full section of a device ...  00 end, 06 description         no lengths: told as they are to the end
 *
 * RAM content is a list of records. Each begins with a word of 8 bytes: an address within a RAM block whose low 12
 * bits are flags. Records other than those below are unknown to us: compressed pages (0x100, gone in QEMU 9.1), and
 * the RDMA hook (0x80), whose content is not in the stream at all.
 */

export const FILE_MAGIC = 0x5145564d;
export const FILE_VERSION = 3;

export const SECTION = {
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** Commands whose length field covers all that belongs to them. A packaged command, for one, is followed by more. */
export const SELF_CONTAINED_COMMANDS: ReadonlySet<number> = new Set([
  1, // open return path
  2, // ping
  11, // switch-over starts (QEMU 10)
]);

export const RAM_VERSION = 4;

export const RAM_FLAG = {
  /** Block name, then one fill byte. */
  zero: 0x02,
  /** The address is the size of all blocks; their names and sizes follow. */
  sizes: 0x04,
  /** Block name, then the page. */
  page: 0x08,
  endOfSection: 0x10,
  /** The record is in the same block as the one before, so the name is left out. */
  continue: 0x20,
  /** Block name, encoding:1 length:2, bytes. */
  xbzrle: 0x40,
  /** Nothing follows: pages sent over other connections up to here are to be waited for. */
  multifdFlush: 0x200,
} as const;

export const FLAG_BITS = 0xfff;
/** Every x86 and arm64 guest that we start has pages of 4 KiB in the stream, whatever the host uses. */
export const PAGE_BYTES = 4_096;

/** Limits on what a stream may claim. Past them it is taken for something we do not understand. */
export const LIMITS = {
  configurationBytesMax: 256,
  ramBlocksMax: 4_096,
  /** In units of 4 GiB, less one: 4 TiB of guest memory, 2^30 pages. */
  addressHighMax: 0x3ff,
} as const;

/**
 * What the parser finds, in order. Laid end to end, what the calls stand for is the input, byte by byte.
 * All views are valid during the call only.
 */
export interface StreamVisitor {
  /** Bytes to be passed on as they are. */
  opaque(bytes: Uint8Array): void;
  /**
   * A page record: word, name when there is one (then the word has no continue flag), and the content, which is
   * PAGE_BYTES of `bytes` from `offset` on.
   */
  page(wordHigh: number, wordLow: number, name: Uint8Array | null, bytes: Uint8Array, offset: number): void;
  /** A zero-page record with fill byte 0: word, name when there is one. */
  zeroPage(wordHigh: number, wordLow: number, name: Uint8Array | null): void;
  /** Page addresses start over. Called before the first page of the new pass, and not for the first pass. */
  roundBegin(): void;
  /** The parser has just passed a section's end; everything up to `chunkOffset` of this chunk has been told. */
  sectionEnd(chunkOffset: number): void;
}
