import { clockOffset } from './clock-offset';
import { downtime, parseInstantMs } from './downtime';

describe('downtime', () => {
  it('is corrected by the fastest round trip', () => {
    const clock = clockOffset([
      { sentMs: 0, theirsMs: 1_050, receivedMs: 20 },
      { sentMs: 100, theirsMs: 1_101, receivedMs: 102 },
    ]);
    expect(clock).toEqual({ offsetMs: 1_000, uncertaintyMs: 1 });
    expect(downtime(5_000, 6_025.5, clock)).toEqual({ downtimeMs: 25.5, downtimeUncertaintyMs: 1 });
  });

  it('reads times to the microsecond', () => {
    expect(parseInstantMs('2023-11-14T22:13:20.000042Z')).toBeCloseTo(1_700_000_000_000.042, 3);
    expect(parseInstantMs('2023-11-14T22:13:20Z')).toBe(1_700_000_000_000);
  });
});
