import { ProgressReporter, dpkgListener } from './progress';

describe('progress', () => {
  it('never falls and ends at one', () => {
    const fractions: number[] = [];
    const progress = new ProgressReporter((_, fraction) => fractions.push(fraction));
    progress.at('install', 'halfway', 0.5);
    progress.at('unpack', 'late news');
    progress.at('disk', 'more than all', 7);
    progress.done();
    expect(fractions).toEqual([0.5, 0.5, 1, 1]);
  });

  it('counts each package once when it is unpacked and once when it is set up', () => {
    const shares: number[] = [];
    const listen = dpkgListener(2, (_, share) => shares.push(share));
    for (const line of [
      'Preparing to unpack .../libc6_2.36_amd64.deb ...',
      'Unpacking libc6:amd64 (2.36) ...',
      'Unpacking libc6:amd64 (2.36) over (2.36) ...',
      'Unpacking udev (252) ...',
      'Setting up libc6:amd64 (2.36) ...',
      'Setting up udev (252) ...',
    ])
      listen(line);
    expect(shares).toEqual([0.25, 0.25, 0.5, 0.75, 1]);
  });
});
