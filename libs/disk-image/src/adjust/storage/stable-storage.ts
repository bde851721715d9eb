import type { DeviceNames } from '../../guest/device-names';
import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { linesOf, mapLines } from '../lines';

const FSTAB = '/etc/fstab';
const CRYPTTAB = '/etc/crypttab';
const RESUME_FOLDER = '/etc/initramfs-tools/conf.d';
const UNITS = '/etc/systemd/system';
/** The first field, not a comment; then what separates it, and the rest. */
const FIELDS = /^(\s*)([^\s#]\S*)([ \t]+)(.*)$/;

/** What is mounted, unlocked, swapped to or resumed from has a name that does not depend on the disk's controller. */
export const stableStorage: AdjustStep = {
  name: 'stable-storage',
  plan: async ({ files, devices }) => {
    const draft = new Draft(files);
    await planFstab(draft, devices);
    await planCrypttab(draft, devices);
    await planResume(draft, devices);
    await planUnits(draft, devices);
    await planDumps(draft, devices);
    return draft.plan();
  },
};

async function planFstab(draft: Draft, devices: DeviceNames): Promise<void> {
  const others: string[] = [];
  await draft.edit(
    FSTAB,
    (text) => mapLines(text, (line) => fstabLine(line, devices, others)),
    'mounts by names that stay',
  );
  for (const spec of others)
    draft.leave(
      FSTAB,
      `${spec} is on a disk that is not moved. It has "nofail", so that the server starts without it.`,
    );
  const specs = linesOf((await draft.text(FSTAB)) ?? '').map((line) => FIELDS.exec(line)?.[2] ?? '');
  for (const spec of specs.filter((one) => one.startsWith('/dev/mapper/mpath')))
    draft.leave(FSTAB, `${spec} is a name that multipath gives. Mount it by UUID= on the server.`);
}

function fstabLine(line: string, devices: DeviceNames, others: string[]): string {
  const [, indent = '', spec = '', gap = '', rest = ''] = FIELDS.exec(line) ?? [];
  if (spec === '') return line;
  const bare = spec.replace(/^"|"$/g, '');
  const [, type] = rest.split(/\s+/);
  const stable = devices.stable(bare, type);
  if (stable) return `${indent}${stable}${gap}${rest}`;
  if (!devices.isOtherDisk(bare) || /\bnoauto\b/.test(rest)) return line;
  others.push(bare);
  return `${indent}${spec}${gap}${withNofail(rest)}`;
}

/** Without it systemd waits for the device, and then for a person. */
function withNofail(rest: string): string {
  const [, head, options, tail] = /^(\S+\s+\S+\s+)(\S+)(.*)$/.exec(rest) ?? [];
  if (head === undefined || options === undefined || /(^|,)nofail(,|$)/.test(options)) return rest;
  return `${head}${options},nofail${tail ?? ''}`;
}

async function planCrypttab(draft: Draft, devices: DeviceNames): Promise<void> {
  const undone: string[] = [];
  await draft.edit(
    CRYPTTAB,
    (text) => mapLines(text, (line) => crypttabLine(line, devices, undone)),
    'unlocks by names that stay',
  );
  for (const spec of undone)
    draft.leave(
      CRYPTTAB,
      `${spec} is made anew at every start, so it has no UUID that stays, and the partition table gives it none. Give the disk an identifier on the server, or swap to a file.`,
    );
}

/** One line of crypttab(5). What has to keep its name is put to `undone`. */
export function crypttabLine(line: string, devices: DeviceNames, undone: string[]): string {
  const [, indent = '', name = '', gap = '', rest = ''] = FIELDS.exec(line) ?? [];
  const [, spec = '', tail = ''] = /^(\S+)(.*)$/.exec(rest) ?? [];
  if (name === '' || spec === '') return line;
  if (devices.stable(spec) === undefined) return line;
  // With a random key the next start overwrites whatever has a UUID there.
  const [key = '', options = ''] = tail.trim().split(/\s+/);
  const isMadeAnew = /^\/dev\/u?random$/.test(key) || /(^|,)(swap|tmp|plain)(,|=|$)/.test(options);
  const stable = isMadeAnew ? devices.stablePartition(spec) : devices.stable(spec);
  if (stable === undefined) {
    undone.push(spec);
    return line;
  }
  return `${indent}${name}${gap}${stable}${tail}`;
}

async function planResume(draft: Draft, devices: DeviceNames): Promise<void> {
  for (const path of await draft.filesIn(RESUME_FOLDER))
    await draft.edit(
      path,
      (text) => replaced(text, /^(\s*RESUME=["']?)(\/dev\/[^\s"']+)/, devices),
      'resumes by a name that stays',
    );
  await draft.edit(
    '/etc/uswsusp.conf',
    (text) => replaced(text, /^(\s*resume device\s*=\s*)(\/dev\/\S+)/, devices),
    'resumes by a name that stays',
  );
  for (const path of ['/etc/dracut.conf', ...(await draft.filesIn('/etc/dracut.conf.d', '.conf'))])
    await draft.edit(
      path,
      (text) =>
        mapLines(text, (line) =>
          /^\s*kernel_cmdline\+?=/.test(line)
            ? replaced(line, /(\b(?:root|resume)=)(\/dev\/[^\s"']+)/g, devices)
            : line,
        ),
      'the next initramfs has names that stay',
    );
}

async function planUnits(draft: Draft, devices: DeviceNames): Promise<void> {
  for (const path of await draft.filesIn(UNITS, '.mount'))
    await draft.edit(
      path,
      (text) => replaced(text, /^(\s*What\s*=\s*)(\/dev\/\S+)/, devices, asPath),
      'mounts by a name that stays',
    );
  for (const path of await draft.filesIn(UNITS, '.swap')) {
    const lines = linesOf((await draft.text(path)) ?? '');
    const spec = lines.map((line) => /^\s*What\s*=\s*(\/dev\/\S+)/.exec(line)?.[1]).find((one) => one);
    // The unit's own name must be the device's.
    if (spec !== undefined && devices.stable(spec) !== undefined)
      draft.leave(
        path,
        `It swaps to ${spec}, which the target has not. Put the swap area into /etc/fstab by UUID=.`,
      );
  }
}

/** Where a crashed kernel's memory goes. */
async function planDumps(draft: Draft, devices: DeviceNames): Promise<void> {
  await draft.edit(
    '/etc/kdump.conf',
    (text) => replaced(text, /^((?:ext[234]|xfs|btrfs|raw)\s+)(\/dev\/\S+)/, devices),
    'dumps to a name that stays',
  );
}

function replaced(
  text: string,
  pattern: RegExp,
  devices: DeviceNames,
  written: (stable: string) => string = (stable) => stable,
): string {
  return mapLines(text, (line) =>
    line.replace(pattern, (whole, head: string, spec: string) => {
      const stable = devices.stable(spec);
      return stable ? `${head}${written(stable)}` : whole;
    }),
  );
}

/** `UUID=…` as a path, for what takes no tags. */
function asPath(stable: string): string {
  const [tag = '', value = ''] = stable.split('=');
  return `/dev/disk/by-${tag.toLowerCase()}/${value}`;
}
