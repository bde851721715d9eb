/** Reflected Castagnoli polynomial (RFC 3720, appendix B.4). */
const POLYNOMIAL = 0x82f63b78;
/** Bytes per step of the quick loop. */
const STEP_BYTES = 16;

/** Sixteen tables of 256 entries, end to end: table k gives the effect of a byte that stands k bytes before the end. */
const TABLES = buildTables();
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/**
 * CRC-32C of the bytes, unsigned. `seed` is the result for the bytes before them, so that a sum can be taken in
 * pieces. Reads four words at a time where the machine's byte order allows ("slicing", Kounavis and Berry, 2008).
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const end = bytes.length;
  let crc = ~seed;
  let at = 0;
  if (IS_LITTLE_ENDIAN && end >= 2 * STEP_BYTES) {
    const lead = (4 - (bytes.byteOffset & 3)) & 3;
    crc = oneByOne(bytes, 0, lead, crc);
    const steps = Math.floor((end - lead) / STEP_BYTES);
    crc = byWords(new Int32Array(bytes.buffer, bytes.byteOffset + lead, steps * 4), crc);
    at = lead + steps * STEP_BYTES;
  }
  return ~oneByOne(bytes, at, end, crc) >>> 0;
}

function oneByOne(bytes: Uint8Array, from: number, to: number, seed: number): number {
  let crc = seed;
  for (let at = from; at < to; at += 1) crc = (crc >>> 8) ^ TABLES[(crc ^ bytes[at]!) & 255]!;
  return crc;
}

function byWords(words: Int32Array, seed: number): number {
  const t = TABLES;
  let crc = seed;
  for (let at = 0; at < words.length; at += 4) {
    const a = words[at]! ^ crc;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    crc =
      t[3840 + (a & 255)]! ^
      t[3584 + ((a >>> 8) & 255)]! ^
      t[3328 + ((a >>> 16) & 255)]! ^
      t[3072 + (a >>> 24)]! ^
      t[2816 + (b & 255)]! ^
      t[2560 + ((b >>> 8) & 255)]! ^
      t[2304 + ((b >>> 16) & 255)]! ^
      t[2048 + (b >>> 24)]! ^
      t[1792 + (c & 255)]! ^
      t[1536 + ((c >>> 8) & 255)]! ^
      t[1280 + ((c >>> 16) & 255)]! ^
      t[1024 + (c >>> 24)]! ^
      t[768 + (d & 255)]! ^
      t[512 + ((d >>> 8) & 255)]! ^
      t[256 + ((d >>> 16) & 255)]! ^
      t[d >>> 24]!;
  }
  return crc;
}

function buildTables(): Int32Array {
  const tables = new Int32Array(STEP_BYTES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index += 1) {
    const previous = tables[index - 256]!;
    tables[index] = (previous >>> 8) ^ tables[previous & 255]!;
  }
  return tables;
}
