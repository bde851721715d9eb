import { parseDeviceName } from '../../guest/block-devices';
import { parseFstab } from '../../guest/fstab';
import type { GuestReader } from '../../guest/guest-files';
import { ENTRY_FOLDERS } from '../../guest/boot-kernels';

/** Every loader's own idea of where the root is. */
const MENUS = [
  '/boot/grub/grub.cfg',
  '/boot/grub2/grub.cfg',
  '/boot/grub2/grubenv',
  '/boot/grub/menu.lst',
  '/boot/grub/grub.conf',
  '/boot/extlinux/extlinux.conf',
  '/boot/syslinux/syslinux.cfg',
  '/etc/kernel/cmdline',
];
/** What Linux calls the only disk of a machine. */
const FIRST_DISKS = ['sda', 'hda', 'vda', 'xvda', 'nvme0n1', 'mmcblk0'];
const ENTRIES_MAX = 64;

/**
 * Names that the server has for the disk that is moved, by controller, slot or serial number: that of its root, in
 * /etc/fstab and in what any boot loader tells the kernel; where nothing says so, the first disk's.
 */
export async function readMovedDisks(files: GuestReader): Promise<ReadonlySet<string>> {
  const specs = parseFstab((await files.readText('/etc/fstab')) ?? '')
    .filter(({ mountPoint }) => mountPoint === '/')
    .map(({ spec }) => spec);
  const paths = [...MENUS];
  for (const folder of ENTRY_FOLDERS) {
    const names = (await files.names(folder)).filter((name) => name.endsWith('.conf'));
    paths.push(...names.slice(0, ENTRIES_MAX).map((name) => `${folder}/${name}`));
  }
  for (const path of paths)
    for (const [, root = ''] of ((await files.readText(path)) ?? '').matchAll(
      /[\s"'=]root=([^\s"']{1,200})/g,
    ))
      specs.push(root);
  const disks = specs.flatMap((spec) => parseDeviceName(spec)?.disk ?? []);
  return new Set(disks.length > 0 ? disks : FIRST_DISKS);
}
