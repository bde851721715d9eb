import type { AdjustStep, DriverNeed } from '../adjustment';
import { Draft } from '../draft';
import { OFF_MARK, switchedOffLines } from '../off-mark';
import { hasLine, mapLines } from '../lines';

const LVM_DEVICES = '/etc/lvm/devices/system.devices';
const LVM_LOCAL = '/etc/lvm/lvmlocal.conf';
const LVM_FILES = ['/etc/lvm/lvm.conf', LVM_LOCAL];
const LVM_CACHES = ['/etc/lvm/cache/.cache', '/etc/lvm/.cache'];
const BLKID_CACHES = ['/etc/blkid/blkid.tab', '/etc/blkid.tab'];
const MULTIPATH_LISTS = ['/etc/multipath/wwids', '/etc/multipath/bindings'];
const MDADM_FILES = ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'];
const MODPROBE_FOLDERS = ['/etc/modprobe.d', '/usr/lib/modprobe.d', '/lib/modprobe.d'];
const LVM_FILE_BYTES_MAX = 512 * 1024;
const FILTER_LINES_MAX = 64;
/** Names that come from a disk's controller, as LVM's filters write them. */
const CONTROLLER_NAME = /\/(?:dev\/)?(?:sd|hd|vd|xvd|nvme|cciss|mapper\/mpath|disk\/by-(?:id|path))/;

/** Notes that the guest took of its disks, by serial numbers and slots, do not keep it from finding the new ones. */
export const machineCaches: AdjustStep = {
  name: 'machine-caches',
  plan: async ({ files, target }) => {
    const draft = new Draft(files);
    await planLvm(draft);
    for (const path of BLKID_CACHES) await draft.edit(path, () => '', 'blkid looks at the disks anew');
    for (const path of MULTIPATH_LISTS)
      await draft.edit(
        path,
        (text) => switchedOffLines(text, (line) => line.trim() !== ''),
        'multipath forgets the disks of the physical server',
      );
    for (const path of MDADM_FILES)
      await draft.edit(path, stableArrays, 'arrays are looked for on every partition');
    for (const folder of MODPROBE_FOLDERS) await planForbidden(draft, folder, target.drivers);
    return draft.plan();
  },
};

/**
 * The list of devices names disks by their serial numbers, and LVM uses no others. Switched off by a setting, it is
 * there again on the physical server.
 */
async function planLvm(draft: Draft): Promise<void> {
  for (const path of LVM_CACHES) await draft.edit(path, () => '', 'LVM looks for its disks anew');
  for (const path of LVM_FILES) {
    const text = await draft.text(path, LVM_FILE_BYTES_MAX);
    if (text !== undefined)
      await draft.write(path, withoutFilters(text), 'filters that name the old disks are off');
  }
  const devices = await draft.text(LVM_DEVICES);
  if (devices === undefined || !hasLine(devices, /^\s*IDTYPE=/)) return;
  const local = (await draft.text(LVM_LOCAL, LVM_FILE_BYTES_MAX)) ?? '';
  if (hasLine(local, /^\s*use_devicesfile\s*=\s*0\s*$/)) return;
  const free = switchedOffLines(local, (line) => /^\s*use_devicesfile\s*=/.test(line));
  const head = free === '' || free.endsWith('\n') ? free : `${free}\n`;
  await draft.write(
    LVM_LOCAL,
    `${head}devices {\n\tuse_devicesfile = 0\n}\n`,
    'LVM looks at all disks, not at those that it had listed by serial number',
  );
}

/** A filter that takes the old disks alone would leave the guest without its volume groups. */
function withoutFilters(text: string): string {
  const lines = text.split('\n');
  for (let start = 0; start < lines.length; start++) {
    if (!/^\s*(?:global_)?filter\s*=/.test(lines[start] ?? '')) continue;
    const rest = lines.slice(start, start + FILTER_LINES_MAX);
    const length = rest.findIndex((line) => line.includes(']')) + 1;
    const isList = /=\s*\[/.test(rest[0] ?? '');
    const own = isList ? rest.slice(0, Math.max(length, 1)) : rest.slice(0, 1);
    if (!CONTROLLER_NAME.test(own.join(' '))) continue;
    for (const [index, line] of own.entries()) lines[start + index] = `${OFF_MARK}${line}`;
  }
  return lines.join('\n');
}

function stableArrays(text: string): string {
  return mapLines(text, (line) => {
    const [, indent, setting] = /^(\s*)(DEVICE\s.*)$/i.exec(line) ?? [];
    const isOld = setting !== undefined && CONTROLLER_NAME.test(setting);
    return isOld ? `${OFF_MARK}${line}\n${indent}DEVICE partitions` : line;
  });
}

/** Drivers that the target needs, and that the server's owner had forbidden as needless. */
async function planForbidden(draft: Draft, folder: string, drivers: readonly DriverNeed[]): Promise<void> {
  const needed = new Set(drivers.map(({ name }) => name));
  for (const path of await draft.filesIn(folder, '.conf'))
    await draft.edit(
      path,
      (text) =>
        switchedOffLines(text, (line) => {
          const [word, name = '', command = ''] = line.trim().split(/\s+/);
          if (!needed.has(name.replaceAll('-', '_'))) return false;
          return word === 'blacklist' || (word === 'install' && /\/(?:true|false)$/.test(command));
        }),
      'drivers that the target needs are not forbidden',
    );
}
