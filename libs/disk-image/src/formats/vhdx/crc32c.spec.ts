import { crc32c, crc32cWithout } from './crc32c';

describe('CRC-32C', () => {
  // RFC 3720, appendix B.4.
  it.each([
    ['32 bytes of zeros', Buffer.alloc(32), 0x8a9136aa],
    ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['bytes that rise', Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
    ['the digits', Buffer.from('123456789'), 0xe3069283],
  ])('is right for %s', (_what, bytes, sum) => expect(crc32c(bytes)).toBe(sum));

  it('leaves its own place out, and the bytes as they are', () => {
    const bytes = Buffer.from('headXXXXrest');
    expect(crc32cWithout(bytes, 4)).toBe(crc32c(Buffer.from('head\0\0\0\0rest')));
    expect(bytes.toString()).toBe('headXXXXrest');
  });
});
