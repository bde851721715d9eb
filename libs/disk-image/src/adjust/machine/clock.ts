import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { mapLines } from '../lines';

type Settings = readonly {
  readonly path: string;
  readonly pattern: RegExp;
  readonly word: Record<'utc' | 'local', string>;
}[];

/** Where distributions say what the hardware clock shows: the first by hwclock(8), the others for older init scripts. */
const SETTINGS: Settings = [
  { path: '/etc/adjtime', pattern: /^()(UTC|LOCAL)()$/, word: { utc: 'UTC', local: 'LOCAL' } },
  {
    path: '/etc/default/rcS',
    pattern: /^(\s*UTC=["']?)(yes|no)(["']?)\s*$/,
    word: { utc: 'yes', local: 'no' },
  },
  {
    path: '/etc/sysconfig/clock',
    pattern: /^(\s*UTC=["']?)(true|false)(["']?)\s*$/,
    word: { utc: 'true', local: 'false' },
  },
  {
    path: '/etc/sysconfig/clock',
    pattern: /^(\s*HWCLOCK=["']?)(-u|--utc|-l|--localtime)(["']?)\s*$/,
    word: { utc: '-u', local: '--localtime' },
  },
];
const SAME: Readonly<Record<string, string>> = { '--utc': '-u', '-l': '--localtime' };

/** The guest reads the hardware clock as the target shows it; otherwise it would be hours off until it asks the network. */
export const hardwareClock: AdjustStep = {
  name: 'hardware-clock',
  plan: async ({ files, target }) => {
    const draft = new Draft(files);
    for (const { path, pattern, word } of SETTINGS)
      await draft.edit(
        path,
        (text) =>
          mapLines(text, (line) =>
            line.replace(pattern, (whole, head: string, value: string, tail: string) =>
              (SAME[value] ?? value) === word[target.clock] ? whole : `${head}${word[target.clock]}${tail}`,
            ),
          ),
        `the hardware clock shows ${target.clock === 'utc' ? 'UTC' : 'local time'}`,
      );
    return draft.plan();
  },
};
