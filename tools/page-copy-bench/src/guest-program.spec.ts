import { guestProgram, readReports } from './guest-program';

const GUEST = {
  imageBytes: 64 * 1024,
  staticPages: 8,
  hotPages: 8,
  writesPerTick: 300,
  writesWholePages: false,
  sumPagesPerTick: 4,
};

describe('the workload guest', () => {
  it('is a boot sector with its parameters behind it', () => {
    const sectors = guestProgram(GUEST);
    expect(sectors).toHaveLength(4_096);
    expect(sectors.readUInt16LE(510)).toBe(0xaa55);
    const parameters = Array.from({ length: 9 }, (_, index) => sectors.readUInt32LE(0xf00 + 4 * index));
    expect(parameters).toEqual([2, 2_048, 8, 0x200000 + 8 * 4_096, 300, 0, 11_932, 4, 8]);
  });

  it('refuses an image that is not whole chunks', () => {
    expect(() => guestProgram({ ...GUEST, imageBytes: 1_000 })).toThrow(RangeError);
    expect(() => guestProgram({ ...GUEST, imageBytes: 0 })).toThrow(RangeError);
  });

  it('reports in lines, of which only complete ones count', () => {
    const line = 'N=00000020 W=00002580 P=00000001 S=deadbeef \n';
    expect(readReports(`${line.slice(9)}${line}N=00000040 W=0`)).toEqual([
      { ticks: 32, writes: 9_600, passes: 1, sum: 0xdeadbeef },
    ]);
  });
});
