import { switchOff, readStartedThings } from '../agents/switch-off';
import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { switchedOffLines } from '../off-mark';

const UNITS = '/etc/systemd/system';
const WANTED = `${UNITS}/getty.target.wants`;
const INITTAB = '/etc/inittab';
/** Consoles by hardware or hypervisor: not the screen's tty1 and its like, which every machine has. */
const HARDWARE_CONSOLE = /^(?:ttyS\d{1,2}|ttyAMA\d|ttyUSB\d|hvc\d|xvc\d|sclp_line\d)$/;
const INSTANCE = /^serial-getty@([A-Za-z0-9_]{1,20})\.service$/;

/** Nobody waits for a log-in on a console that the target has not: systemd does so for 90 seconds at every start. */
export const loginConsoles: AdjustStep = {
  name: 'login-consoles',
  plan: async ({ files, system, target }) => {
    const draft = new Draft(files);
    const present = new Set(target.consoles.map((value) => value.split(',')[0] ?? ''));
    const isGone = (console: string): boolean => HARDWARE_CONSOLE.test(console) && !present.has(console);
    for (const name of await files.names(WANTED)) {
      const console = INSTANCE.exec(name)?.[1];
      if (console !== undefined && isGone(console) && !(await files.find(`${UNITS}/${name}`)))
        await draft.write(`${UNITS}/${name}`, '', `nobody logs in on ${console}, which the target has not`);
    }
    await draft.edit(
      INITTAB,
      (text) =>
        switchedOffLines(text, (line) => {
          const [, , action = '', command = ''] = line.split(':');
          const words = command.split(/\s+/).map((word) => word.replace(/^\/dev\//, ''));
          return action === 'respawn' && /getty/.test(command) && words.some(isGone);
        }),
      'nobody logs in on consoles that the target has not',
    );
    if (system.init === 'upstart') {
      const things = await readStartedThings(draft);
      for (const job of things.jobs) if (isGone(job)) await switchOff(draft, job, things, system.init);
    }
    return draft.plan();
  },
};
