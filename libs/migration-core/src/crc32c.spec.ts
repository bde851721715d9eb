import { crc32c } from './crc32c';
import { SeededChance } from './testing/seeded-chance';

/** One bit at a time, as the polynomial defines it. */
function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('crc32c', () => {
  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['nothing', new Uint8Array(0), 0],
  ])('agrees with the published value for %s', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('agrees with the definition at every length and alignment', () => {
    const bytes = new SeededChance(3).bytes(160);
    for (let from = 0; from < 9; from += 1)
      for (let to = from; to <= bytes.length; to += 1)
        expect(crc32c(bytes.subarray(from, to))).toBe(bitByBit(bytes.subarray(from, to)));
  });

  it('can be taken in pieces', () => {
    const bytes = new SeededChance(4).bytes(1_000);
    for (let cut = 0; cut <= bytes.length; cut += 7)
      expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(crc32c(bytes));
  });
});
