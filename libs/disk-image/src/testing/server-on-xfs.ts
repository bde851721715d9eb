import { open, rm } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import type { PhysicalServer } from '@watari/physical-server';
import { Appliance } from '../appliance/appliance';
import { expectRun, makeEmptyDisk } from '../appliance/testing/layered-disk';
import { copyDisk } from '../copy-disk';
import { closureOf, readKernelModules } from '../guest/kernel-modules';
import { listBootKernels } from '../guest/boot-kernels';
import type { GuestFiles } from '../guest/guest-files';
import { writeCpio } from '../initramfs/cpio';

const DISK_BYTES = 3 * 1024 ** 3;
/** Boot record and GRUB's core image, up to the first partition. */
const BOOT_CODE_BYTES = 1024 * 1024;
const TABLE_AT = 0x1b8;
const BOOT = '/dev/vda1';
const ROOT = '/dev/vda2';
const DONOR = '/dev/vdb1';
const FILE_MODE = 0o100644;
const BYTES_MAX = 64 * 1024 * 1024;

/**
 * The physical server once more, as others set servers up: /boot on ext4, the root on XFS, both known by the names that
 * the SATA controller gives them, and an initramfs that knows XFS and no other hardware.
 */
export async function makeServerOnXfs(
  diskPath: string,
  server: PhysicalServer,
  tools: HostTools,
): Promise<void> {
  await makeEmptyDisk(diskPath, DISK_BYTES);
  await copyBootCode(server.diskPath, diskPath);
  // The appliance opens every disk for writing, and this one is for all to read.
  const donorPath = `${diskPath}.donor`;
  await copyDisk({ sourcePath: server.diskPath, sourceFormat: 'raw', targetPath: donorPath, tools });
  const appliance = await Appliance.start({
    disk: diskPath,
    format: 'raw',
    moreDisks: [{ path: donorPath, format: 'raw' }],
    readOnly: false,
    accelerator: 'tcg',
    tools,
  });
  try {
    await expectRun(
      appliance,
      ['sfdisk', '--quiet', '/dev/vda'],
      'label: dos\nstart=2048, size=200M, type=83, bootable\ntype=83\n',
    );
    // What the server's GRUB can read.
    const features = '^metadata_csum_seed,^orphan_file,^64bit';
    await expectRun(appliance, ['mke2fs', '-q', '-t', 'ext4', '-O', features, BOOT]);
    await expectRun(appliance, ['mkfs.xfs', '-q', ROOT]);
    await copyFiles(appliance);
    await appliance.mount({ device: ROOT, type: 'xfs', at: '/' });
    await appliance.mount({ device: BOOT, type: 'ext4', at: '/boot' });
    await settle(appliance.files);
    await appliance.unmount();
    await appliance.close();
  } catch (error) {
    await appliance.kill();
    throw error;
  } finally {
    await rm(donorPath, { force: true });
  }
}

async function copyBootCode(from: string, to: string): Promise<void> {
  const code = Buffer.alloc(BOOT_CODE_BYTES);
  const source = await open(from, 'r');
  await source.read(code, 0, code.length, 0);
  await source.close();
  code.fill(0, TABLE_AT, 0x1fe);
  const target = await open(to, 'r+');
  await target.write(code, 0, code.length, 0);
  await target.close();
}

async function copyFiles(appliance: Appliance): Promise<void> {
  const script = [
    'set -e',
    'B=/usr/sbin/busybox; $B mkdir -p /tmp/donor /tmp/root',
    `$B mount -t ext4 -o ro,noload ${DONOR} /tmp/donor`,
    `$B mount -t xfs ${ROOT} /tmp/root`,
    '$B mkdir /tmp/root/boot',
    `$B mount -t ext4 ${BOOT} /tmp/root/boot`,
    'cd /tmp/donor; $B tar -cf - . | $B tar -xf - -C /tmp/root',
    // GRUB's image looks for /boot/grub on this partition.
    '$B ln -s . /tmp/root/boot/boot',
    'cd /; $B umount /tmp/root/boot /tmp/root /tmp/donor',
  ].join('\n');
  const { status, stdout, stderr } = await appliance.run(['sh', '-c', script], { timeoutMs: 600_000 });
  if (status !== 0) throw new Error(`The files were not copied: ${stderr}${stdout}`);
}

async function settle(files: GuestFiles): Promise<void> {
  await files.replace(
    '/etc/fstab',
    Buffer.from('/dev/sda2 / xfs defaults 0 0\n/dev/sda1 /boot ext4 defaults 0 2\n'),
  );
  const menu = (await files.readText('/boot/grub/grub.cfg')) ?? '';
  await files.replace(
    '/boot/grub/grub.cfg',
    Buffer.from(menu.replaceAll('root=/dev/sda1', 'root=/dev/sda2')),
  );
  const [kernel] = await listBootKernels(files);
  const modules = kernel && (await readKernelModules(files, kernel.version));
  if (!kernel?.initramfsPath || !modules) throw new Error('The physical server has no kernel.');
  const names = ['xfs', 'crc32c_generic'];
  const folder = `/lib/modules/${kernel.version}`;
  const paths = names.flatMap((name) => [...(closureOf(modules, name) ?? [])]);
  // Those of the first hardware stay; the lists of modules must know both.
  const all = [
    ...new Set([
      ...paths,
      ...['ahci', 'sd_mod', 'ext4'].flatMap((name) => [...(closureOf(modules, name) ?? [])]),
    ]),
  ];
  const contents = [
    ...all,
    'modules.dep',
    'modules.dep.bin',
    'modules.alias',
    'modules.alias.bin',
    'modules.softdep',
  ];
  const entries = [];
  for (const path of contents) {
    const content = await files.read(`${folder}/${path}`, BYTES_MAX);
    if (content)
      entries.push({ path: `usr/lib/modules/${kernel.version}/${path}`, mode: FILE_MODE, content });
  }
  entries.push({
    path: 'conf/modules',
    mode: FILE_MODE,
    content: Buffer.from('ahci\nsd_mod\next4\nxfs\ncrc32c_generic\n'),
  });
  const image = await files.read(kernel.initramfsPath, 256 * 1024 * 1024);
  if (!image) throw new Error('The initramfs cannot be read.');
  const gap = Buffer.alloc((4 - (image.length % 4)) % 4);
  await files.replace(kernel.initramfsPath, Buffer.concat([image, gap, writeCpio(entries)]));
}
