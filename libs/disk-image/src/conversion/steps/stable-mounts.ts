import type { ConversionStep } from '../step';

/** The target's disk has another controller: /etc/fstab must not name partitions by it. */
export const stableMounts: ConversionStep = {
  name: 'stable-mounts',
  run: async ({ guest, devices }) => {
    const before = await guest.tree.readText('/etc/fstab');
    if (before === undefined) return undefined;
    const done: string[] = [];
    const others: string[] = [];
    const lines = before.split('\n').map((line) => {
      const [, indent = '', spec = '', rest = ''] = /^(\s*)([^\s#]\S*)(\s.*)$/.exec(line) ?? [];
      if (devices.isOtherDisk(spec)) others.push(spec);
      const stable = devices.stable(spec, rest.trim().split(/\s+/)[1]);
      if (!stable) return line;
      done.push(`${spec} is ${stable}`);
      return `${indent}${stable}${rest}`;
    });
    const remark =
      others.length > 0 ? ` ${others.join(', ')} is on a disk that is not moved: it will be missing.` : '';
    if (!(await guest.write('/etc/fstab', lines.join('\n')))) return remark.trim() || undefined;
    return `/etc/fstab: ${done.join(', ')}.${remark}`;
  },
};
