import { DiskUnusable } from '../../errors';
import { type KernelModules, closureOf, readKernelModules } from '../../guest/kernel-modules';
import {
  BOOT_DRIVERS,
  INITRAMFS_BYTES_MAX,
  type KernelFiles,
  hasDrivers,
  listKernels,
} from '../../guest/kernels';
import { type CpioEntry, writeCpio } from '../../initramfs/cpio';
import { type Initramfs, isMergedUsr, readInitramfs } from '../../initramfs/initramfs';
import type { ConversionStep, StepContext } from '../step';
import { stableResume } from './stable-boot';
import { DRIVERS } from './virtio-drivers';

const FILE_MODE = 0o100644;
const MODULE_BYTES_MAX = 32 * 1024 * 1024;
/** What modprobe and udev read to find a driver; the initramfs has its own, which know only its own modules. */
const MODULE_LISTS = [
  'modules.alias',
  'modules.alias.bin',
  'modules.builtin',
  'modules.builtin.alias.bin',
  'modules.builtin.bin',
  'modules.builtin.modinfo',
  'modules.dep',
  'modules.dep.bin',
  'modules.devname',
  'modules.order',
  'modules.softdep',
];

/**
 * Every kernel's initramfs gets one more archive at its end, with the virtio drivers of that kernel. The kernel
 * unpacks archives one after the other, so what is there stays as it is.
 */
export const bootDrivers: ConversionStep = {
  name: 'boot-drivers',
  run: async (context) => {
    const kernels = await listKernels(context.guest.tree);
    kernels.sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
    const newest = kernels.at(-1);
    if (!newest)
      throw new DiskUnusable(
        'DISK_KERNEL_UNSUPPORTED',
        'There is no kernel (vmlinuz-VERSION) in /boot. Install one on the server, then copy the disk again.',
      );
    const told: string[] = [];
    for (const kernel of kernels) {
      try {
        const added = await extendInitramfs(context, kernel);
        if (added) told.push(added);
      } catch (error) {
        // The newest one is what boots; an old one may be broken for long.
        if (kernel === newest || !(error instanceof DiskUnusable) || error.code === 'DISK_FILE_SYSTEM_FULL')
          throw error;
        told.push(`${kernel.version} is left as it is: ${error.message}`);
      }
    }
    return told.length > 0 ? told.join(' ').slice(0, 2000) : undefined;
  },
};

async function extendInitramfs(context: StepContext, kernel: KernelFiles): Promise<string | undefined> {
  const { guest, tools, signal } = context;
  const modules = await readKernelModules(guest.tree, kernel.version);
  if (!modules) throw unsupported(kernel, `has no /lib/modules/${kernel.version}/modules.dep`);
  const { initramfsPath } = kernel;
  if (!initramfsPath) {
    if (hasDrivers(BOOT_DRIVERS, undefined, modules)) return undefined;
    throw unsupported(kernel, 'has no initramfs, and no virtio drivers built in');
  }
  const image = await guest.tree.read(initramfsPath, INITRAMFS_BYTES_MAX);
  const initramfs = image && (await readInitramfs(image, tools, signal));
  if (!initramfs)
    throw new DiskUnusable(
      'DISK_INITRAMFS_UNSUPPORTED',
      `${initramfsPath} is damaged, or packed in a way that is not known (gzip, zstd, xz, lz4 and none are). Run "update-initramfs -u" on the server, then copy the disk again.`,
    );

  const drivers = hasDrivers(BOOT_DRIVERS, initramfs, modules)
    ? []
    : await driverFiles(context, kernel, modules, initramfs);
  const entries = [...drivers, ...changedSettings(context, initramfs)];
  if (entries.length === 0) return undefined;
  const archive = writeCpio(entries);
  await guest.append(initramfsPath, archive);
  const count = drivers.filter(({ path }) => /\.ko(\.\w+)?$/.test(path)).length;
  return count > 0
    ? `${initramfsPath} has ${count} modules more (virtio drivers and what they need, ${archive.length} bytes).`
    : `${initramfsPath} has the changed settings.`;
}

async function driverFiles(
  { guest }: StepContext,
  kernel: KernelFiles,
  modules: KernelModules,
  initramfs: Initramfs,
): Promise<CpioEntry[]> {
  const source = `/lib/modules/${kernel.version}`;
  const target = `${isMergedUsr(initramfs) ? 'usr/lib' : 'lib'}/modules/${kernel.version}`;
  const paths = new Set<string>();
  const loaded: string[] = [];
  for (const { name, isRequired } of DRIVERS) {
    if (modules.builtin.has(name)) continue;
    const closure = closureOf(modules, name);
    if (!closure) {
      if (isRequired) throw unsupported(kernel, `has no driver ${name}`);
      continue;
    }
    for (const path of closure) paths.add(path);
    loaded.push(name);
  }

  const entries: CpioEntry[] = [];
  for (const path of paths) {
    const content = await guest.tree.read(`${source}/${path}`, MODULE_BYTES_MAX);
    if (!content) throw unsupported(kernel, `lacks ${source}/${path}, which its list of modules names`);
    entries.push({ path: `${target}/${path}`, mode: FILE_MODE, content });
  }
  for (const name of MODULE_LISTS) {
    const content = await guest.tree.read(`${source}/${name}`, MODULE_BYTES_MAX);
    if (content) entries.push({ path: `${target}/${name}`, mode: FILE_MODE, content });
  }
  entries.push(loadAtBoot(kernel, initramfs, loaded));
  return entries;
}

/** How the initramfs is told to load modules before it looks for the root. */
function loadAtBoot(kernel: KernelFiles, initramfs: Initramfs, names: readonly string[]): CpioEntry {
  switch (initramfs.maker) {
    case 'initramfs-tools': {
      const before = initramfs.files.get('conf/modules')?.content.toString('utf8') ?? '';
      const head = before === '' || before.endsWith('\n') ? before : `${before}\n`;
      return { path: 'conf/modules', mode: FILE_MODE, content: Buffer.from(`${head}${names.join('\n')}\n`) };
    }
    case 'dracut':
      return {
        path: 'etc/modules-load.d/watari-virtio.conf',
        mode: FILE_MODE,
        content: Buffer.from(`${names.join('\n')}\n`),
      };
    default:
      throw new DiskUnusable(
        'DISK_INITRAMFS_UNSUPPORTED',
        `${kernel.initramfsPath} was made neither by initramfs-tools nor by dracut. Make it by one of them on the server, then copy the disk again.`,
      );
  }
}

/** Copies of changed settings that the initramfs has: it names NICs and resumes before the root is there. */
function changedSettings({ guest, devices }: StepContext, initramfs: Initramfs): CpioEntry[] {
  const entries: CpioEntry[] = [];
  const inUsr = isMergedUsr(initramfs) ? 'usr/' : '';
  const linkFolders = ['etc/systemd/network', `${inUsr}lib/systemd/network`];
  const takesLinks = linkFolders.some((folder) => initramfs.files.has(folder));
  for (const [path, content] of guest.written) {
    const link = /^\/(etc\/systemd\/network\/[^/]+\.link)$/.exec(path)?.[1];
    const rule = /^\/etc\/udev\/rules\.d\/([^/]+\.rules)$/.exec(path)?.[1];
    if (link && takesLinks) entries.push({ path: link, mode: FILE_MODE, content });
    for (const place of rule ? [`${inUsr}lib/udev/rules.d/${rule}`, `etc/udev/rules.d/${rule}`] : [])
      if (initramfs.files.has(place)) entries.push({ path: place, mode: FILE_MODE, content });
  }
  for (const [path, { content, mode }] of initramfs.files) {
    if (!path.startsWith('conf/conf.d/') || (mode & 0o170000) !== 0o100000) continue;
    const [before, after] = [content.toString('utf8'), stableResume(content.toString('utf8'), devices)];
    if (after !== before) entries.push({ path, mode, content: Buffer.from(after) });
  }
  return entries;
}

function unsupported({ version }: KernelFiles, what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_KERNEL_UNSUPPORTED',
    `The kernel ${version} ${what}, so it would not reach a virtio disk. Install a distribution kernel on the server, then copy the disk again.`,
  );
}
