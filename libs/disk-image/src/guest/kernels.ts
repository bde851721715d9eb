import type { HostTools } from '@watari/host-tools';
import { type Compression, type Initramfs, readInitramfs } from '../initramfs/initramfs';
import { type BootKernel, listBootKernels } from './boot-kernels';
import type { GuestReader } from './guest-files';
import { type KernelModules, moduleName, readKernelModules } from './kernel-modules';

export interface Kernel extends BootKernel {
  readonly initramfsCompression?: Compression;
  readonly initramfsMaker?: Initramfs['maker'];
  /** It reaches a disk on virtio at boot: the drivers are built in, or in its initramfs. */
  readonly hasVirtio: boolean;
}

export const INITRAMFS_BYTES_MAX = 512 * 1024 * 1024;
/** A disk on virtio needs both. */
export const BOOT_DRIVERS = ['virtio_pci', 'virtio_blk'] as const;

/** Looks into the initramfs of every kernel. */
export async function readKernels(
  tree: GuestReader,
  tools: HostTools,
  signal?: AbortSignal,
): Promise<Kernel[]> {
  const kernels: Kernel[] = [];
  for (const files of await listBootKernels(tree)) {
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
