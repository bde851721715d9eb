import { Partitioners } from 'kafkajs';
import { murmur2, partitionOf } from './murmur2';

describe('murmur2', () => {
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes %s as the Java client does', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash);
  });

  it('puts keys of every length and alphabet where kafkajs puts them', () => {
    const partitioner = Partitioners.DefaultPartitioner();
    const partitionMetadata = Array.from({ length: 7 }, (_, partitionId) => ({
      partitionId,
      leader: 0,
      partitionErrorCode: 0,
      replicas: [0],
      isr: [0],
    }));
    for (let length = 1; length <= 64; length += 1) {
      for (const alphabet of ['a', 'ü', '漢', '\u{1f680}x', '-0']) {
        const key = alphabet.repeat(length);
        const expected = partitioner({ topic: 't', partitionMetadata, message: { key, value: '' } });
        expect(partitionOf(key, 7)).toBe(expected);
      }
    }
  });
});
