import { SeededChance } from '../testing/seeded-chance';
import { sampledBitsPerByte, seemsIncompressible } from './entropy';
import { heapLikeBytes } from './testing/page-content';

describe('the estimate of entropy', () => {
  it('is 0 for nothing and for one value, 8 for all values alike', () => {
    expect(sampledBitsPerByte(new Uint8Array(0))).toBe(0);
    expect(sampledBitsPerByte(new Uint8Array(100_000).fill(9))).toBe(0);
    expect(sampledBitsPerByte(Uint8Array.from({ length: 256 }, (_, index) => index))).toBe(8);
  });

  it('takes random bytes of any seed for incompressible', () => {
    for (let seed = 0; seed < 200; seed += 1)
      expect(seemsIncompressible(new SeededChance(seed).bytes(4_096 + seed * 777))).toBe(true);
  });

  it('takes heaps, and random bytes that are a quarter zeros, for compressible', () => {
    expect(seemsIncompressible(heapLikeBytes(500_000, 1))).toBe(false);
    const mixed = new SeededChance(2).bytes(400_000);
    for (let at = 0; at < mixed.length; at += 16_384) mixed.fill(0, at, at + 4_096);
    expect(seemsIncompressible(mixed)).toBe(false);
  });

  it('looks at the whole length: noise at the begin does not decide', () => {
    const bytes = new Uint8Array(1_000_000);
    bytes.set(new SeededChance(3).bytes(300_000));
    expect(seemsIncompressible(bytes)).toBe(false);
  });

  it('says nothing of short inputs', () => {
    expect(seemsIncompressible(new SeededChance(4).bytes(1_000))).toBe(false);
  });
});
