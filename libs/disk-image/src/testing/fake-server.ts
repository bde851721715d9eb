import { mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { HostTools } from '@watari/host-tools';
import { type CpioEntry, writeCpio } from '../initramfs/cpio';
import { bootRecord } from './synthetic-disks';

const MIB = 1024 * 1024;
const SECTOR_BYTES = 512;
export const KERNEL = '6.1.0-1-amd64';
export const MAC = '52:54:00:aa:bb:01';
const BOOT = { firstSector: 2048, sectors: (24 * MIB) / SECTOR_BYTES };
const SWAP = { firstSector: BOOT.firstSector + BOOT.sectors, sectors: (2 * MIB) / SECTOR_BYTES };
const ROOT = { firstSector: SWAP.firstSector + SWAP.sectors, sectors: (48 * MIB) / SECTOR_BYTES };
const DISK_BYTES = (ROOT.firstSector + ROOT.sectors) * SECTOR_BYTES;
export const BOOT_UUID = '11111111-2222-4333-8444-555555555555';
export const ROOT_UUID = '99999999-8888-4777-8666-555555555555';
export const SWAP_UUID = 'abababab-cdcd-4efe-8123-123456789abc';
export const ROOT_OFFSET_BYTES = ROOT.firstSector * SECTOR_BYTES;
export const BOOT_OFFSET_BYTES = BOOT.firstSector * SECTOR_BYTES;

export type Files = Record<string, string | Buffer | { link: string }>;

/** A kernel's modules: one line per module, as depmod writes them. */
const MODULES_DEP = [
  'kernel/drivers/virtio/virtio.ko:',
  'kernel/drivers/virtio/virtio_ring.ko:',
  'kernel/drivers/virtio/virtio_pci_modern_dev.ko:',
  'kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko',
  'kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko',
  'kernel/net/core/failover.ko:',
  'kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko',
  'kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko',
  'kernel/drivers/ata/ahci.ko:',
  '',
].join('\n');

function moduleFiles(): Files {
  const files: Files = {
    [`usr/lib/modules/${KERNEL}/modules.dep`]: MODULES_DEP,
    [`usr/lib/modules/${KERNEL}/modules.alias`]: 'alias virtio:d00000002v* virtio_blk\n',
    [`usr/lib/modules/${KERNEL}/modules.builtin`]: 'kernel/fs/ext4/ext4.ko\nkernel/drivers/scsi/sd_mod.ko\n',
  };
  for (const line of MODULES_DEP.split('\n').filter((text) => text !== '')) {
    const path = line.slice(0, line.indexOf(':'));
    files[`usr/lib/modules/${KERNEL}/${path}`] = Buffer.from(`ELF of ${path}`);
  }
  return files;
}

function initramfsEntries(): CpioEntry[] {
  const file = (path: string, text: string): CpioEntry => ({
    path,
    mode: 0o100644,
    content: Buffer.from(text),
  });
  return [
    { path: 'lib', mode: 0o120777, content: Buffer.from('usr/lib') },
    file('init', '#!/bin/sh\n'),
    file('scripts/functions', ''),
    file('conf/modules', 'ahci\n'),
    file('conf/conf.d/resume', 'RESUME=/dev/sda2\n'),
    file(`usr/lib/modules/${KERNEL}/kernel/drivers/ata/ahci.ko`, 'ELF'),
    file('usr/lib/udev/rules.d/70-persistent-net.rules', 'old'),
  ];
}

/** Packs the initramfs of the fake server, by default as gzip. */
export function fakeInitramfs(pack: (archive: Buffer) => Buffer = (archive) => gzipSync(archive)): Buffer {
  return pack(writeCpio(initramfsEntries()));
}

export const NET_RULE = `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="e1000e", ATTR{address}=="${MAC}", ATTR{type}=="1", NAME="eth0"`;

export function bootFiles(): Files {
  return {
    [`vmlinuz-${KERNEL}`]: 'kernel',
    [`initrd.img-${KERNEL}`]: fakeInitramfs(),
    'grub/grub.cfg': `search --no-floppy --fs-uuid --set=root ${BOOT_UUID}\nmenuentry 'Debian' {\n\tlinux\t/vmlinuz-${KERNEL} root=/dev/sda3 ro quiet resume=/dev/sda2\n\tinitrd\t/initrd.img-${KERNEL}\n}\n`,
    'grub/device.map': '(hd0)\t/dev/disk/by-id/ata-ACME_1\n',
  };
}

export function rootFiles(): Files {
  return {
    ...moduleFiles(),
    'usr/lib/os-release': 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
    'usr/lib/x86_64-linux-gnu/libc.so.6': '',
    'etc/os-release': { link: '../usr/lib/os-release' },
    lib: { link: 'usr/lib' },
    'etc/hostname': 'old-server\n',
    'etc/fstab':
      '# made by the installer\n/dev/sda3 / ext4 errors=remount-ro 0 1\n/dev/sda1\t/boot\text4\tdefaults 0 2\n/dev/sda2 none swap sw 0 0\n/dev/sdb1 /data ext4 nofail 0 2\n',
    'etc/default/grub':
      'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet resume=/dev/sda2"\nGRUB_DISABLE_LINUX_UUID=true\n',
    'etc/initramfs-tools/modules': 'ahci\n',
    'etc/initramfs-tools/conf.d/resume': 'RESUME=/dev/sda2\n',
    'etc/udev/rules.d/70-persistent-net.rules': `# the first NIC\n${NET_RULE}\n`,
    'etc/network/interfaces': 'auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n',
    'etc/systemd/system/stock.service': '[Service]\nExecStart=/bin/true\n',
    'etc/systemd/system/escape': { link: '/../../../../etc/passwd' },
    'etc/loop-a': { link: 'loop-b' },
    'etc/loop-b': { link: 'loop-a' },
    'var/lib/dpkg/status':
      'Package: nginx\nStatus: install ok installed\nVersion: 1.22.1-9\n\nPackage: postgresql-15\nStatus: deinstall ok config-files\nVersion: 15.1\n',
    'boot/hidden-below-the-mount': '',
  };
}

export interface FakeServerOptions {
  readonly folder: string;
  readonly tools: HostTools;
  readonly root?: Files;
  readonly boot?: Files;
}

/** Makes a small disk with /boot, swap and root, as an old server has them; nothing on it can run. */
export async function makeFakeServer({
  folder,
  tools,
  root = rootFiles(),
  boot = bootFiles(),
}: FakeServerOptions): Promise<string> {
  const diskPath = join(folder, 'server.raw');
  const disk = await open(diskPath, 'w');
  try {
    await disk.truncate(DISK_BYTES);
    const entries = [
      { type: 0x83, ...BOOT },
      { type: 0x82, ...SWAP },
      { type: 0x83, ...ROOT },
    ];
    await disk.write(bootRecord(entries), 0, SECTOR_BYTES, 0);
    const swap = Buffer.alloc(4096);
    Buffer.from(SWAP_UUID.replaceAll('-', ''), 'hex').copy(swap, 1036);
    swap.write('SWAPSPACE2', 4086, 'latin1');
    await disk.write(swap, 0, swap.length, SWAP.firstSector * SECTOR_BYTES);
  } finally {
    await disk.close();
  }
  for (const [files, place, uuid] of [
    [boot, BOOT, BOOT_UUID],
    [root, ROOT, ROOT_UUID],
  ] as const) {
    const tree = join(folder, `tree-${uuid}`);
    await writeTree(tree, files);
    const offset = place.firstSector * SECTOR_BYTES;
    const blocks = (place.sectors * SECTOR_BYTES) / 1024;
    const args = ['-q', '-F', '-t', 'ext4', '-b', '1024', '-U', uuid, '-d', tree, '-E', `offset=${offset}`];
    await tools.run('mke2fs', [...args, diskPath, String(blocks)]);
    await rm(tree, { recursive: true });
  }
  return diskPath;
}

async function writeTree(folder: string, files: Files): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    const full = join(folder, path);
    await mkdir(join(full, '..'), { recursive: true });
    if (typeof content === 'string' || Buffer.isBuffer(content)) await writeFile(full, content);
    else await symlink(content.link, full);
  }
}

/** Reads a file of a disk by debugfs, apart from the code under test. */
export async function readGuestFile(
  tools: HostTools,
  diskPath: string,
  offsetBytes: number,
  path: string,
): Promise<Buffer> {
  const target = `${diskPath}.dumped`;
  await tools.run('debugfs', ['-R', `dump ${path} ${target}`, `${diskPath}?offset=${offsetBytes}`]);
  const content = await readFile(target);
  await rm(target);
  return content;
}

/** What `ls -l` and `stat` say of a file, without what a new inode must have anew. */
export async function describeGuestFile(
  tools: HostTools,
  diskPath: string,
  offsetBytes: number,
  path: string,
): Promise<string> {
  const { stdout } = await tools.run('debugfs', ['-R', `stat ${path}`, `${diskPath}?offset=${offsetBytes}`]);
  const kept =
    /^Inode: \d+\s+Type: \w+\s+Mode:\s+\d+|^User:.*Size: \d+|^Links: \d+| [am]time: \S+|^ {2}[a-z]+\.\w+ .*$/gm;
  return [...stdout.toString().matchAll(kept)].map(([text]) => text.replace(/^Inode: \d+/, '')).join('\n');
}
