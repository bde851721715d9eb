/** CRC-32C (Castagnoli), reflected, as in RFC 3720, appendix B.4: what VHDX sums its headers with. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value >>> 0;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

/** The sum of a structure whose own sum, four bytes at `sumAt`, counts as zero. */
export function crc32cWithout(bytes: Buffer, sumAt: number): number {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE(0, sumAt);
  return crc32c(copy);
}
