import type { HostTools } from '@watari/host-tools';
import { type Compression, type Initramfs, readInitramfs } from '../initramfs/initramfs';
import type { GuestReader } from './guest-files';
import { type KernelModules, moduleName, readKernelModules } from './kernel-modules';

export interface Kernel {
  readonly version: string;
  readonly imagePath: string;
  readonly initramfsPath?: string;
  readonly initramfsCompression?: Compression;
  readonly initramfsMaker?: Initramfs['maker'];
  /** It reaches a disk on virtio at boot: the drivers are built in, or in its initramfs. */
  readonly hasVirtio: boolean;
}

export interface KernelFiles {
  readonly version: string;
  readonly imagePath: string;
  readonly initramfsPath?: string;
}

const KERNELS_MAX = 20;
export const INITRAMFS_BYTES_MAX = 512 * 1024 * 1024;
/** Versions become part of paths that are written to: nothing odd is taken. */
const VERSION = /^[0-9][A-Za-z0-9._+~-]{0,99}$/;
/** A disk on virtio needs both. */
export const BOOT_DRIVERS = ['virtio_pci', 'virtio_blk'] as const;

/** Kernels in /boot, newest names last. */
export async function listKernels(tree: GuestReader): Promise<KernelFiles[]> {
  const names = await tree.names('/boot');
  const versions = names
    .filter((name) => name.startsWith('vmlinuz-'))
    .map((name) => name.slice('vmlinuz-'.length))
    .filter((version) => VERSION.test(version));
  return versions.slice(0, KERNELS_MAX).map((version) => {
    const initramfs = [`initrd.img-${version}`, `initramfs-${version}.img`].find((name) =>
      names.includes(name),
    );
    return {
      version,
      imagePath: `/boot/vmlinuz-${version}`,
      ...(initramfs && { initramfsPath: `/boot/${initramfs}` }),
    };
  });
}

/** Looks into the initramfs of every kernel. */
export async function readKernels(
  tree: GuestReader,
  tools: HostTools,
  signal?: AbortSignal,
): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const files of await listKernels(tree)) {
    const image = files.initramfsPath && (await tree.read(files.initramfsPath, INITRAMFS_BYTES_MAX));
    const initramfs = image ? await readInitramfs(image, tools, signal) : undefined;
    const modules = await readKernelModules(tree, files.version);
    kernels.push({
      ...files,
      ...(initramfs && { initramfsCompression: initramfs.compression, initramfsMaker: initramfs.maker }),
      hasVirtio: hasDrivers(BOOT_DRIVERS, initramfs, modules),
    });
  }
  return kernels;
}

export function hasDrivers(
  names: readonly string[],
  initramfs: Initramfs | undefined,
  modules: KernelModules | undefined,
): boolean {
  const loadable = new Set<string>();
  for (const path of initramfs?.files.keys() ?? [])
    if (/\.ko(\.\w+)?$/.test(path)) loadable.add(moduleName(path));
  return names.every((name) => loadable.has(name) || modules?.builtin.has(name));
}
