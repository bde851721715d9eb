import { moduleName } from '../../guest/kernel-modules';
import type { DriverNeed } from '../adjustment';
import type { Draft } from '../draft';
import { readVariable } from '../network/shell-variables';
import { type ExaminedInitramfs, modulesInside } from './examine-initramfs';
import { linesOf, mapLines } from '../lines';

const LIST = '/etc/initramfs-tools/modules';
const LIST_SETTINGS = '/etc/initramfs-tools';
const DRACUT_FOLDER = '/etc/dracut.conf.d';
const SUSE_KERNEL = '/etc/sysconfig/kernel';
const MARK =
  '# Drivers of the virtual machine that this server runs in, and of the disks of the physical one.';
/** Drivers of disks and of what they are attached to. */
const DISK_DRIVER = /\/kernel\/drivers\/(?:ata|scsi|nvme|block|message\/fusion|mmc|usb\/storage)\//;
const PHYSICAL_DRIVERS_MAX = 64;

/**
 * The guest's own tools make new initramfses, at the next kernel update. They get the target's drivers, and, where the
 * tools take only what the machine has that they run on, the physical server's: it has to start again one day.
 */
export async function planLastingDrivers(
  draft: Draft,
  drivers: readonly DriverNeed[],
  newest: ExaminedInitramfs | undefined,
): Promise<void> {
  const names = drivers.filter(({ isLasting }) => isLasting).map(({ name }) => name);
  const physical = physicalDrivers(newest);
  const reason = 'initramfses of later kernels have the drivers';
  if ((await draft.text(LIST)) !== undefined || (await draft.files.find('/usr/sbin/mkinitramfs'))) {
    const all = (await takesOnlyOwn(draft)) ? [...names, ...physical] : names;
    const before = (await draft.text(LIST)) ?? '';
    const present = new Set(before.split('\n').map((line) => line.trim().split(/\s+/)[0]));
    const missing = [...new Set(all)].filter((name) => !present.has(name));
    const head = before === '' || before.endsWith('\n') ? before : `${before}\n`;
    if (missing.length > 0) await draft.write(LIST, `${head}${MARK}\n${missing.join('\n')}\n`, reason);
  }
  if (await draft.files.find(DRACUT_FOLDER)) {
    const path = `${DRACUT_FOLDER}/watari.conf`;
    // What is there stays: the drivers of the initramfs that it was made from may be gone by now.
    const lines = linesOf((await draft.text(path)) ?? '');
    const before = lines.flatMap((line) => /^add_drivers\+=" (.*) "$/.exec(line)?.[1]?.split(' ') ?? []);
    const all = [...new Set([...before, ...names, ...physical])];
    await draft.write(path, `${MARK}\nadd_drivers+=" ${all.join(' ')} "\n`, reason);
  }
  await draft.edit(SUSE_KERNEL, (text) => withInitrdModules(text, names), reason);
}

function physicalDrivers(newest: ExaminedInitramfs | undefined): string[] {
  const paths = modulesInside(newest).filter((path) => DISK_DRIVER.test(path));
  return [...new Set(paths.map(moduleName))]
    .filter((name) => /^[a-z0-9_]{1,60}$/.test(name) && !name.startsWith('virtio'))
    .sort()
    .slice(0, PHYSICAL_DRIVERS_MAX);
}

/** `MODULES=dep`: what the running machine needs; `most`, the default, has drivers for every machine. */
async function takesOnlyOwn(draft: Draft): Promise<boolean> {
  const paths = [`${LIST_SETTINGS}/initramfs.conf`, ...(await draft.filesIn(`${LIST_SETTINGS}/conf.d`))];
  let kind: string | undefined;
  for (const path of paths) kind = readVariable((await draft.text(path)) ?? '', 'MODULES') ?? kind;
  return kind === 'dep';
}

/** Of SUSE before dracut. */
function withInitrdModules(text: string, names: readonly string[]): string {
  return mapLines(text, (line) => {
    const [, value] = /^INITRD_MODULES="([^"$`]*)"/.exec(line) ?? [];
    if (value === undefined) return line;
    const present = value.split(/\s+/).filter((word) => word !== '');
    const missing = names.filter((name) => !present.includes(name));
    if (missing.length === 0) return line;
    return line.replace(`"${value}"`, () => `"${[...present, ...missing].join(' ')}"`);
  });
}
