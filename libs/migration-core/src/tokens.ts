/*
 * Payload of a data frame: tokens, laid end to end. A run stands for `count` records of the migration stream at
 * addresses word, word + 4096, ...; from the second record on the continue flag is set. All numbers big-endian.
 *
 *   01 opaque       length:4 bytes            as they are
 *   02 pages        word:8 count:4 pages      record = word, page
 *   03 zero records word:8 count:4            record = word, 00          (how QEMU itself says "zero page")
 *   04 zero pages   word:8 count:4            record = word, 4096 zeros
 *   05 named        length:1 name             the next token's first record carries this block name
 */
export const TOKEN = {
  opaque: 1,
  pages: 2,
  zeroRecords: 3,
  zeroPages: 4,
  named: 5,
} as const;

export const OPAQUE_TOKEN_BYTES = 1 + 4;
export const RUN_TOKEN_BYTES = 1 + 8 + 4;

/*
 * Payload of a digest frame:
 *   position:8 last:1 rounds:4 sections:4 SHA-256:32      of the stream up to the position
 */
export const DIGEST_HASH_OFFSET = 8 + 1 + 4 + 4;
export const DIGEST_PAYLOAD_BYTES = DIGEST_HASH_OFFSET + 32;
