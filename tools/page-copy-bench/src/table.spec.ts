import { type Measured, median, tableRows } from './table';

function measured(contender: string, run: number, wireMB: number, hasConverged = true): Measured {
  const trip = { hasConverged, wireBytes: wireMB * 1e6, totalS: 2, details: {} };
  return { workload: 'server', rate: 500, run, contender, direction: 'there', trip };
}

describe('the table', () => {
  it('takes the middle of all runs', () => {
    expect(median([])).toBeUndefined();
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });

  it('shows every run, and our median divided by the peer’s', () => {
    const rows = tableRows([
      ...[30, 10, 20].map((wire, index) => measured('watari', index, wire)),
      ...[40, 80, 50].map((wire, index) => measured('multifd', index, wire)),
    ]);
    expect(rows).toContainEqual([
      'server',
      '500',
      'there',
      'wire',
      'watari',
      'MB',
      '20.0',
      '-',
      '30.0 10.0 20.0',
    ]);
    expect(rows).toContainEqual([
      'server',
      '500',
      'there',
      'wire',
      'multifd',
      'MB',
      '50.0',
      '0.40',
      '40.0 80.0 50.0',
    ]);
  });

  it('says when a trip was given up, and makes no ratio of what was not finished', () => {
    const rows = tableRows([measured('watari', 1, 20), measured('default', 1, 900, false)]);
    expect(rows).toContainEqual([
      'server',
      '500',
      'there',
      'wire',
      'default',
      'MB',
      '900.0',
      '-',
      '900.0 (not finished)',
    ]);
  });
});
