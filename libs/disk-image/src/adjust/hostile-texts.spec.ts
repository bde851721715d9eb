import type { HostTools } from '@watari/host-tools';
import type { FoundFile, GuestReader, NamedFile } from '../guest/guest-files';
import { adjustSteps } from './adjust-steps';
import type { AdjustStep } from './adjustment';
import { planAdjustments } from './plan-adjustments';
import { readGuestSystem } from './system/guest-system';
import { readMovedDisks } from './storage/moved-disks';
import { DEVICES, MOVED, OLD_MAC, TARGET } from './testing/carry-out';

const SIZE = 64 * 1024;
/** One pattern that goes back over every line end needs more than four by itself. */
const SECONDS_MAX = 4;
const fill = (piece: string): Buffer =>
  Buffer.from(piece.repeat(Math.ceil(SIZE / piece.length)).slice(0, SIZE));

/** A guest in which every file is there, and has the same text; every folder of settings has a few files. */
class SameEverywhere implements GuestReader {
  constructor(private readonly text: Buffer) {}

  find(path: string): Promise<FoundFile | undefined> {
    const isFolder =
      /(\.d|\/EFI|\/BOOT|entries|network|netplan|system|system-connections|network-scripts|modprobe.d|init|info|rpm)$/.test(
        path,
      );
    const owner = { uid: 0, gid: 0, mode: isFolder ? 0o040755 : 0o100644 };
    const entry = { ...owner, kind: isFolder ? ('directory' as const) : ('file' as const), sizeBytes: SIZE };
    return Promise.resolve({ path, entry });
  }

  entries(): Promise<NamedFile[]> {
    const names = [
      'a.conf',
      'a.link',
      'a.mount',
      'a.network',
      'a.nmconnection',
      'a.rules',
      'a.swap',
      'a.yaml',
      'ifcfg-eth0',
    ];
    const entry = { uid: 0, gid: 0, mode: 0o100644, kind: 'file' as const, sizeBytes: SIZE };
    return Promise.resolve(names.map((name) => ({ ...entry, name })));
  }

  async names(): Promise<string[]> {
    return (await this.entries()).map(({ name }) => name);
  }

  read(_path: string, bytesMax = 1024 * 1024): Promise<Buffer | undefined> {
    return Promise.resolve(this.text.length <= bytesMax ? this.text : undefined);
  }

  async readText(path: string, bytesMax?: number): Promise<string | undefined> {
    return (await this.read(path, bytesMax))?.toString('utf8');
  }
}

const line = (text: string): string => `${text.padEnd(4090)}\n`;

describe('texts that are made to cost time', () => {
  it.each([
    ['blank lines', fill('\n')],
    ['spaces', fill(' ')],
    ['long blank lines', fill(line(''))],
    ['one line of equals signs', fill('=')],
    ['values with gaps', fill(line(`Name = a${' '.repeat(4000)}b`))],
    ['words with gaps', fill(line(`iface  ${'a '.repeat(2000)}`))],
    ['quotes', fill('"')],
    ['quotes on lines', fill(line('GRUB_CMDLINE_LINUX="'.repeat(200)))],
    ['roots', fill(line('linux root=/dev/sda1 '.repeat(190)))],
    ['consoles', fill(line('options console=ttyS1 '.repeat(180)))],
    ['sources', fill(line(`${'x,'.repeat(1000)}source=`.repeat(2)))],
    ['rules without end', fill(line(`NAME="a" ATTR{address}=="${OLD_MAC}" ${'ATTRS{'.repeat(600)}`))],
    ['rules', fill(`SUBSYSTEM=="net", ATTR{address}=="${OLD_MAC}", NAME="lan0"\n`)],
    ['sections', fill('[Match]\n')],
    ['settings', fill(`[Match]\nMACAddress=${OLD_MAC}\n`)],
    ['interfaces', fill('source-directory /etc/x.d\niface eth0 inet dhcp\n')],
    ['entries of fstab', fill('/dev/sdb1 /a ext4 defaults 0 0\n')],
    ['filters', fill('filter = [ "a|/dev/sda|"\n')],
    ['packages', fill('Package: a\n')],
    ['addresses', fill(`HWADDR=${OLD_MAC}\nDEVICE=eth0\n`)],
    ['anchors', fill('a: &a [*a, *a, *a]\n')],
  ])(
    '%s end soon',
    async (_name, text) => {
      const files = new SameEverywhere(text);
      const started = process.cpuUsage();
      const system = { ...(await readGuestSystem(files)), init: 'systemd' as const };
      await readMovedDisks(files);
      const steps = adjustSteps({} as HostTools).map(({ step }) => step);
      const untilDrivers = steps.filter(({ name }) => name !== 'boot-drivers');
      const told = await timed(untilDrivers, {
        files,
        system,
        devices: DEVICES,
        nics: MOVED,
        target: TARGET,
      });
      expect([secondsOf(process.cpuUsage(started)) < SECONDS_MAX, told]).toEqual([true, told]);
    },
    60_000,
  );
});

/** Of the processor: what else runs on the machine does not count. */
function secondsOf({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

/** How long each step took, for the one that took too long. */
async function timed(
  steps: readonly AdjustStep[],
  context: Parameters<typeof planAdjustments>[1],
): Promise<string> {
  const told: string[] = [];
  const watched = steps.map((step): AdjustStep => ({
    name: step.name,
    plan: async (given) => {
      const started = performance.now();
      const plan = await step.plan(given);
      told.push(`${step.name}: ${Math.round(performance.now() - started)} ms`);
      return plan;
    },
  }));
  await planAdjustments(watched, context);
  return told.join(', ');
}
