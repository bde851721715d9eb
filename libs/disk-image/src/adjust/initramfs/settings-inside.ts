import { parseDeviceName } from '../../guest/block-devices';
import type { DeviceNames } from '../../guest/device-names';
import type { CpioEntry } from '../../initramfs/cpio';
import type { Initramfs } from '../../initramfs/initramfs';
import { stableParameters } from '../boot/kernel-parameters';
import { crypttabLine } from '../storage/stable-storage';
import { FILE_MODE } from './driver-files';
import { mapLines } from '../lines';

type Files = Initramfs['files'];
type Change = (text: string, devices: DeviceNames) => string;

const LINK_MODE = 0o120777;
const RULES = /^\/etc\/udev\/rules\.d\/([^/]+\.rules)$/;
const LINKS = /^\/etc\/systemd\/network\/[^/]+\.link$/;
const LVM_LOCAL = '/etc/lvm/lvmlocal.conf';

/** Settings that are made for an initramfs, rather than copied into it. */
const MADE: readonly { readonly path: RegExp; readonly change: Change }[] = [
  { path: /^conf\/conf\.d\/[^/]+$/, change: stableAssignments },
  { path: /^conf\/param\.conf$/, change: stableAssignments },
  { path: /^(?:cryptroot|etc)\/crypttab$/, change: stableCrypttab },
  { path: /^etc\/cmdline$/, change: stableParameters },
  { path: /^etc\/cmdline\.d\/[^/]+\.conf$/, change: stableByLine },
];

/**
 * What must be different in an initramfs that was made on the server: copies of files that changed, its own settings
 * that name devices, and its waiting for devices that the target has not.
 */
export function settingsInside(
  files: Files,
  edited: ReadonlyMap<string, Buffer>,
  devices: DeviceNames,
): CpioEntry[] {
  const wanted = new Map<string, CpioEntry>();
  const put = (path: string, content: Buffer, mode = FILE_MODE): void => {
    const before = files.get(path);
    if (before?.mode === mode && before.content.equals(content)) return;
    wanted.set(path, { path, mode, content });
  };
  for (const [path, content] of edited)
    for (const place of placesOf(path, files)) put(place, content, files.get(place)?.mode);
  for (const [path, { content, mode }] of files) {
    const made = isFile(mode) ? MADE.find((one) => one.path.test(path)) : undefined;
    if (made) put(path, Buffer.from(made.change(content.toString('latin1'), devices), 'latin1'), mode);
  }
  for (const entry of withoutWaiting(files, devices)) put(entry.path, entry.content, entry.mode);
  return [...wanted.values()];
}

/** Where an initramfs has a file of the guest; NICs and disks are found by some that it has not had so far. */
function placesOf(path: string, files: Files): string[] {
  const same = path.slice(1);
  const places: string[] = [];
  if (path.startsWith('/etc/') && isFile(files.get(same)?.mode ?? 0)) places.push(same);
  const rule = RULES.exec(path)?.[1];
  if (rule !== undefined) {
    for (const folder of ['usr/lib/udev/rules.d', 'lib/udev/rules.d'])
      if (isFile(files.get(`${folder}/${rule}`)?.mode ?? 0)) places.push(`${folder}/${rule}`);
    const hasUdev = ['etc/udev', 'usr/lib/udev/rules.d', 'lib/udev/rules.d'].some((at) => files.has(at));
    if (places.length === 0 && hasUdev) places.push(same);
  }
  const takesLinks = ['etc/systemd/network', 'usr/lib/systemd/network', 'lib/systemd/network'];
  if (LINKS.test(path) && takesLinks.some((at) => files.has(at))) places.push(same);
  const hasLvm = ['etc/lvm/lvm.conf', 'etc/lvm/devices/system.devices'].some((at) => files.has(at));
  if (path === LVM_LOCAL && hasLvm) places.push(same);
  return [...new Set(places)];
}

/**
 * dracut waits for the devices of the machine that it was made on: by a script in a folder, and, for systemd, by a unit
 * that a target wants, without end. Names that stay are waited for further on.
 */
function withoutWaiting(files: Files, devices: DeviceNames): CpioEntry[] {
  const entries: CpioEntry[] = [];
  for (const path of files.keys()) {
    const script = /\/hooks\/(?:initqueue\/finished\/devexists-|emergency\/80-)([^/]+)\.sh$/.exec(path)?.[1];
    const unit = /^etc\/systemd\/system\/initrd\.target\.wants\/([^/]+)\.device$/.exec(path)?.[1];
    if (script !== undefined && isGone(script.replaceAll('\\x2f', '/'), devices))
      entries.push({ path, mode: FILE_MODE, content: Buffer.from(':\n') });
    if (unit !== undefined && isGone(`/${unescaped(unit)}`, devices))
      // A unit that leads to /dev/null is masked: what wants it goes on without.
      entries.push({
        path: `etc/systemd/system/${unit}.device`,
        mode: LINK_MODE,
        content: Buffer.from('/dev/null'),
      });
  }
  return entries;
}

function isGone(spec: string, devices: DeviceNames): boolean {
  return parseDeviceName(spec) !== undefined || devices.stable(spec) !== undefined;
}

/** As systemd-escape(1) has it: `dev-disk-by\x2did-x` is `dev/disk/by-id/x`. */
function unescaped(name: string): string {
  return name
    .replaceAll('-', '/')
    .replace(/\\x([0-9a-f]{2})/g, (_whole, code: string) => String.fromCharCode(parseInt(code, 16)));
}

/** `RESUME=…`, `ROOT=…`, and `source=…` of older crypt set-ups. */
function stableAssignments(text: string, devices: DeviceNames): string {
  return mapLines(text, (line) =>
    line.replace(
      /^((?:RESUME|ROOT)=["']?|(?:.*,)?source=)(\/dev\/[^\s"',]+)/,
      (whole, head: string, spec: string) => {
        const stable = devices.stable(spec);
        return stable ? `${head}${stable}` : whole;
      },
    ),
  );
}

function stableCrypttab(text: string, devices: DeviceNames): string {
  return mapLines(text, (line) => crypttabLine(line, devices, []));
}

function stableByLine(text: string, devices: DeviceNames): string {
  return mapLines(text, (line) => stableParameters(line, devices));
}

function isFile(mode: number): boolean {
  return (mode & 0o170000) === 0o100000;
}
