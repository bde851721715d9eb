import { CRC32C_TABLES } from './layout';

/** Reflected Castagnoli polynomial (RFC 3720, appendix B.4). */
const POLYNOMIAL: u32 = 0x82f63b78;
/** Bytes of one table of 256 words. */
const TABLE_BYTES: usize = 1024;
const TABLES_BYTES: usize = 16 * TABLE_BYTES;

/** Sixteen tables end to end: table k gives the effect of a byte that stands k bytes before the end. */
export function buildCrc32cTables(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
    store<u32>(CRC32C_TABLES + (byte << 2), crc);
  }
  for (let at: usize = TABLE_BYTES; at < TABLES_BYTES; at += 4) {
    const previous = load<u32>(CRC32C_TABLES + at - TABLE_BYTES);
    store<u32>(CRC32C_TABLES + at, (previous >> 8) ^ load<u32>(CRC32C_TABLES + ((previous & 255) << 2)));
  }
}

/**
 * Reads sixteen bytes a step ("slicing", Kounavis and Berry, 2008); words may lie anywhere. Each byte is moved to where
 * it counts table entries (1020 = 255 * 4), which saves a shift.
 */
export function crc32c(pointer: usize, length: u32, sum: u32): u32 {
  let crc = ~sum;
  const end = pointer + length;
  const stepsEnd = pointer + (length & ~15);
  while (pointer < stepsEnd) {
    const a = load<u32>(pointer) ^ crc;
    const b = load<u32>(pointer, 4);
    const c = load<u32>(pointer, 8);
    const d = load<u32>(pointer, 12);
    crc =
      load<u32>((d >> 22) & 1020, CRC32C_TABLES) ^
      load<u32>((d >> 14) & 1020, CRC32C_TABLES + TABLE_BYTES) ^
      load<u32>((d >> 6) & 1020, CRC32C_TABLES + 2 * TABLE_BYTES) ^
      load<u32>((d << 2) & 1020, CRC32C_TABLES + 3 * TABLE_BYTES) ^
      load<u32>((c >> 22) & 1020, CRC32C_TABLES + 4 * TABLE_BYTES) ^
      load<u32>((c >> 14) & 1020, CRC32C_TABLES + 5 * TABLE_BYTES) ^
      load<u32>((c >> 6) & 1020, CRC32C_TABLES + 6 * TABLE_BYTES) ^
      load<u32>((c << 2) & 1020, CRC32C_TABLES + 7 * TABLE_BYTES) ^
      load<u32>((b >> 22) & 1020, CRC32C_TABLES + 8 * TABLE_BYTES) ^
      load<u32>((b >> 14) & 1020, CRC32C_TABLES + 9 * TABLE_BYTES) ^
      load<u32>((b >> 6) & 1020, CRC32C_TABLES + 10 * TABLE_BYTES) ^
      load<u32>((b << 2) & 1020, CRC32C_TABLES + 11 * TABLE_BYTES) ^
      load<u32>((a >> 22) & 1020, CRC32C_TABLES + 12 * TABLE_BYTES) ^
      load<u32>((a >> 14) & 1020, CRC32C_TABLES + 13 * TABLE_BYTES) ^
      load<u32>((a >> 6) & 1020, CRC32C_TABLES + 14 * TABLE_BYTES) ^
      load<u32>((a << 2) & 1020, CRC32C_TABLES + 15 * TABLE_BYTES);
    pointer += 16;
  }
  while (pointer < end) {
    crc = (crc >> 8) ^ load<u32>(CRC32C_TABLES + (((crc ^ load<u8>(pointer)) & 255) << 2));
    pointer++;
  }
  return ~crc;
}
