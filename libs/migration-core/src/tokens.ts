/*
 * A data frame's payload is five sections in one or two columns, each compressed by itself:
 *
 *   for each section   raw length:4        tokens, masks, literals, opaque, content
 *   columns:1                              2: content is a column of its own; 1: all are one
 *   for each column    codec:1 packed length:4
 *   the columns
 *
 * Tokens, laid end to end, say what the migration stream is made of. A run stands for `count` page records at
 * addresses word, word + 4096, ... of one RAM block; from the second record on the continue flag is set. All numbers
 * big-endian.
 *
 *   01 opaque       length:4                  bytes from `opaque`, as they are
 *   02 raw          block:2 word:8 count:4    record = word, page from `content`
 *   03 zero records block:2 word:8 count:4    record = word, 00           (how QEMU itself says "zero page")
 *   04 zero pages   block:2 word:8 count:4    record = word, 4096 zeros
 *   05 same         block:2 word:8 count:4    record = word, the page as the mirror holds it
 *   06 delta        block:2 word:8 count:4    record = word, the mirror's page changed by what `masks` and `literals` say
 *   07 copy         block:2 word:8 count:4 count × page:4    record = word, another page as the mirror holds it
 *
 * 80 added to a run's number: its first record carries the block's name after the word.
 *
 * `masks` holds the 64-bit line masks of all deltas of the frame (bit n: line n of 64 bytes differs), least byte first,
 * then for every line that differs a byte (bit n: word n of 8 bytes differs). `literals` holds these words. Blocks are
 * numbered as the layout frame lists them. Every page changes at most once in a frame, and copies are of pages that
 * do not change in it, so the order of the steps within a frame does not matter.
 */
export const TOKEN = {
  opaque: 1,
  raw: 2,
  zeroRecords: 3,
  zeroPages: 4,
  same: 5,
  delta: 6,
  copy: 7,
} as const;
export type RunToken = Exclude<(typeof TOKEN)[keyof typeof TOKEN], 1>;

export const TOKEN_NAMED = 0x80;
export const OPAQUE_TOKEN_BYTES = 1 + 4;
export const RUN_TOKEN_BYTES = 1 + 2 + 8 + 4;
export const COPY_ENTRY_BYTES = 4;

/** A data frame's content before it is packed. */
export interface Sections {
  readonly tokens: Uint8Array;
  readonly masks: Uint8Array;
  readonly literals: Uint8Array;
  readonly content: Uint8Array;
  readonly opaque: Uint8Array;
}

/*
 * Payload of a digest frame:
 *   position:8 last:1 rounds:4 sections:4 SHA-256:32      of the stream up to the position
 */
export const DIGEST_HASH_OFFSET = 8 + 1 + 4 + 4;
export const DIGEST_PAYLOAD_BYTES = DIGEST_HASH_OFFSET + 32;
