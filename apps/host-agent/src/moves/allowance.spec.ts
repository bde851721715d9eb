import { Allowance } from './allowance';

describe("the operator's limit", () => {
  /** Bytes that go through in the time, in pieces of 10 kB, each sent as soon as it may be. */
  function sentIn(durationMs: number, bytesPerSecond: number): number {
    const allowance = new Allowance(bytesPerSecond, 0);
    let sent = 0;
    for (let nowMs = 1; nowMs < durationMs;) {
      const waitMs = allowance.waitMs(nowMs);
      if (waitMs === 0) {
        allowance.spend(10_000);
        sent += 10_000;
      }
      nowMs += Math.max(waitMs, 0.01);
    }
    return sent;
  }

  it('is kept, and used', () => {
    for (const bytesPerSecond of [100_000, 1e6, 50e6]) {
      const sent = sentIn(10_000, bytesPerSecond);
      expect(sent).toBeGreaterThan(bytesPerSecond * 10 * 0.98);
      expect(sent).toBeLessThan(bytesPerSecond * 10 * 1.02 + 20_000);
    }
  });

  it('is not saved up while nothing is sent', () => {
    const allowance = new Allowance(1e6, 0);
    expect(allowance.waitMs(60_000)).toBe(0);
    allowance.spend(1e6);
    expect(allowance.waitMs(60_000)).toBeGreaterThan(900);
  });
});
