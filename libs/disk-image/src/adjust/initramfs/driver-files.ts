import type { GuestReader } from '../../guest/guest-files';
import { DiskUnusable } from '../../errors';
import { type KernelModules, closureOf, moduleName } from '../../guest/kernel-modules';
import type { CpioEntry } from '../../initramfs/cpio';
import type { DriverNeed } from '../adjustment';
import type { BootKernel } from '../../guest/boot-kernels';
import { type ExaminedInitramfs, modulesInside, unsupported } from './examine-initramfs';

export const FILE_MODE = 0o100644;
const MODULE_BYTES_MAX = 32 * 1024 * 1024;
/** Far more than drivers of disks and NICs have, with what they need. */
const MODULES_BYTES_MAX = 256 * 1024 * 1024;
/** What modprobe and udev read to find a driver; those in the initramfs know only what is in it. */
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
  'modules.symbols',
  'modules.symbols.bin',
];
/** The library that unpacks a module, by the module's last suffix. */
const UNPACKERS: Readonly<Record<string, RegExp>> = {
  xz: /liblzma\.so/,
  zst: /libzstd\.so/,
  gz: /libz\.so/,
};

export interface DriverFiles {
  readonly entries: readonly CpioEntry[];
  /** Modules that the initramfs must be told to load. */
  readonly loaded: readonly string[];
}

/** Whether every driver without which the guest does not start is in the kernel or in its initramfs. */
export function hasRequiredDrivers(
  drivers: readonly DriverNeed[],
  initramfs: ExaminedInitramfs | undefined,
  modules: KernelModules,
): boolean {
  const inside = new Set(modulesInside(initramfs).map(moduleName));
  return drivers
    .filter(({ isRequired }) => isRequired)
    .every(({ name }) => inside.has(name) || modules.builtin.has(name));
}

/** The drivers, all that they need, and the lists to find them by, from the guest's own kernel. */
export async function driverFiles(
  files: GuestReader,
  kernel: BootKernel,
  modules: KernelModules,
  initramfs: ExaminedInitramfs,
  drivers: readonly DriverNeed[],
): Promise<DriverFiles> {
  const loaded: string[] = [];
  const paths = new Set<string>();
  for (const { name, isRequired } of drivers) {
    if (modules.builtin.has(name)) continue;
    const closure = closureOf(modules, name);
    if (!closure) {
      if (isRequired) throw noDriver(kernel, `has no driver ${name}`);
      continue;
    }
    for (const path of closure) paths.add(path);
    loaded.push(name);
  }
  for (const path of underOtherNames(kernel, modules, initramfs)) paths.add(path);
  refuseUnpackable(kernel, initramfs, [...paths]);

  const source = `/lib/modules/${kernel.version}`;
  // In a merged /usr a folder `lib` would take the place of the link, and of all that is behind it.
  const target = `${initramfs.isMergedUsr ? 'usr/lib' : 'lib'}/modules/${kernel.version}`;
  const entries: CpioEntry[] = [];
  let sizeBytes = 0;
  for (const path of paths) {
    const content = await files.read(`${source}/${path}`, MODULE_BYTES_MAX);
    if (!content) throw noDriver(kernel, `lacks ${source}/${path}, which its list of modules names`);
    sizeBytes += content.length;
    if (sizeBytes > MODULES_BYTES_MAX)
      throw noDriver(
        kernel,
        `has drivers of more than ${MODULES_BYTES_MAX} bytes for the target's disk and NIC`,
      );
    entries.push({ path: `${target}/${path}`, mode: FILE_MODE, content });
  }
  for (const name of MODULE_LISTS) {
    const content = await files.read(`${source}/${name}`, MODULE_BYTES_MAX);
    if (content) entries.push({ path: `${target}/${name}`, mode: FILE_MODE, content });
  }
  return { entries, loaded };
}

/**
 * Modules that the initramfs has under another name than the guest (unpacked, where the guest's are packed): the
 * guest's lists, which take the place of its own, would not lead to them any more.
 */
function underOtherNames(
  { version }: BootKernel,
  modules: KernelModules,
  initramfs: ExaminedInitramfs,
): string[] {
  const head = new RegExp(`^(?:usr/)?lib/modules/${version.replace(/[.+]/g, '\\$&')}/`);
  return modulesInside(initramfs).flatMap((path) => {
    if (!head.test(path)) return [];
    const own = path.replace(head, '');
    const listed = modules.paths.get(moduleName(own));
    return listed === undefined || listed === own ? [] : [...(closureOf(modules, moduleName(own)) ?? [])];
  });
}

/** A packed module is of no use where nothing in the initramfs unpacks it. */
function refuseUnpackable(kernel: BootKernel, initramfs: ExaminedInitramfs, paths: readonly string[]): void {
  if (!initramfs.files) return;
  const names = [...initramfs.files.keys()];
  for (const suffix of new Set(paths.flatMap((path) => /\.ko\.(\w+)$/.exec(path)?.[1] ?? []))) {
    const unpacker = UNPACKERS[suffix];
    const hasOne = names.some((name) => name.endsWith(`.ko.${suffix}`) || (unpacker?.test(name) ?? false));
    if (!hasOne && modulesInside(initramfs).length > 0)
      throw unsupported(
        kernel.initramfsPath ?? kernel.imagePath,
        `has nothing that unpacks modules packed as .${suffix}, as the guest's drivers are`,
      );
  }
}

/** How an initramfs is told to load modules before it looks for the root. */
export function loadAtBoot(initramfs: ExaminedInitramfs, names: readonly string[]): CpioEntry[] {
  const list = `${names.join('\n')}\n`;
  if (initramfs.maker === 'initramfs-tools') {
    // Ours would take the place of a list that cannot be seen; udev finds the drivers without it.
    if (!initramfs.files) return [];
    const before = initramfs.files.get('conf/modules')?.content.toString('latin1') ?? '';
    const head = before === '' || before.endsWith('\n') ? before : `${before}\n`;
    return [{ path: 'conf/modules', mode: FILE_MODE, content: Buffer.from(`${head}${list}`, 'latin1') }];
  }
  // The first is systemd's in it, the second dracut's own, for one without systemd.
  return [
    { path: 'etc/modules-load.d/watari.conf', mode: FILE_MODE, content: Buffer.from(list) },
    {
      path: 'etc/cmdline.d/90-watari.conf',
      mode: FILE_MODE,
      content: Buffer.from(`rd.driver.pre=${names.join(',')}\n`),
    },
  ];
}

export function noDriver({ version }: BootKernel, what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_KERNEL_UNSUPPORTED',
    `The kernel ${version} ${what}, so it would not reach its disk on the target. Install a distribution kernel on the server, then copy the disk again.`,
  );
}
