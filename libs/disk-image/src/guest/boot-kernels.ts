import type { GuestReader } from './guest-files';

export interface BootKernel {
  readonly version: string;
  readonly imagePath: string;
  /** Undefined for a kernel that starts without. */
  readonly initramfsPath?: string;
}

/** Where entries by the Boot Loader Specification lie, for GRUB of the Red Hat family and for systemd-boot. */
export const ENTRY_FOLDERS = ['/boot/loader/entries', '/boot/efi/loader/entries', '/efi/loader/entries'];
const KERNELS_MAX = 20;
const ENTRIES_MAX = 64;
/** Versions become part of paths that are written to: nothing odd is taken. */
const VERSION = /^[0-9][A-Za-z0-9._+~-]{0,99}$/;
/** A path without steps upwards and without what a shell or a boot loader would expand. */
const PLAIN_PATH = /^\/(?:[A-Za-z0-9_+~@-][A-Za-z0-9._+~@-]*\/)*[A-Za-z0-9_+~@-][A-Za-z0-9._+~@-]*$/;
const IMAGE = /^(?:vmlinuz|vmlinux|Image)-(.+)$/;
/** Debian; Red Hat; SUSE; Red Hat before dracut. */
const INITRAMFS_NAMES = ['initrd.img-@', 'initramfs-@.img', 'initrd-@', 'initrd-@.img'];

/** Kernels by the names that distributions give them in /boot, and by boot loader entries; the newest one last. */
export async function listBootKernels(files: GuestReader): Promise<BootKernel[]> {
  const found = new Map<string, BootKernel>();
  const names = await files.names('/boot');
  for (const name of names) {
    const version = IMAGE.exec(name)?.[1];
    if (version === undefined || !VERSION.test(version)) continue;
    const initramfs = INITRAMFS_NAMES.map((pattern) => pattern.replace('@', version)).find((one) =>
      names.includes(one),
    );
    const imagePath = `/boot/${name}`;
    found.set(imagePath, { version, imagePath, ...(initramfs && { initramfsPath: `/boot/${initramfs}` }) });
  }
  for (const kernel of await kernelsOfEntries(files))
    if (!found.has(kernel.imagePath)) found.set(kernel.imagePath, kernel);
  const kernels = [...found.values()].sort((a, b) =>
    a.version.localeCompare(b.version, 'en', { numeric: true }),
  );
  return kernels.slice(-KERNELS_MAX);
}

async function kernelsOfEntries(files: GuestReader): Promise<BootKernel[]> {
  const kernels: BootKernel[] = [];
  for (const folder of ENTRY_FOLDERS) {
    const base = folder.replace(/\/loader\/entries$/, '');
    const names = (await files.names(folder)).filter((name) => name.endsWith('.conf'));
    for (const name of names.slice(0, ENTRIES_MAX)) {
      const text = (await files.readText(`${folder}/${name}`)) ?? '';
      const word = (key: string): string | undefined =>
        new RegExp(`^[ \\t]*${key}[ \\t]+(\\S+)`, 'm').exec(text)?.[1];
      const version = word('version');
      const imagePath = await placeOf(files, base, word('linux'));
      if (version === undefined || !VERSION.test(version) || imagePath === undefined) continue;
      const initramfsPath = await placeOf(files, base, word('initrd'));
      kernels.push({ version, imagePath, ...(initramfsPath && { initramfsPath }) });
    }
  }
  return kernels;
}

/** An entry's path starts at its partition, which is `base` where that is a mount. */
async function placeOf(
  files: GuestReader,
  base: string,
  path: string | undefined,
): Promise<string | undefined> {
  if (path === undefined || !PLAIN_PATH.test(path)) return undefined;
  for (const place of [`${base}${path}`, path]) {
    const found = await files.find(place);
    if (found?.entry.kind === 'file') return found.path;
  }
  return undefined;
}
