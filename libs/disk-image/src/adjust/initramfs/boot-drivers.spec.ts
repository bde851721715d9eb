import { gzipSync } from 'node:zlib';
import { writeCpio } from '../../initramfs/cpio';
import { machineCaches } from '../machine/machine-caches';
import { keepNics } from '../network/keep-nics';
import { MOVED, NEW_MAC, ROOT_UUID, SWAP_UUID, carryOut } from '../testing/carry-out';
import {
  VERSION,
  INITRAMFS,
  MODULES,
  file,
  link,
  folder,
  DRACUT,
  TOOLS,
  guestWith,
  added,
  textOf,
  NO_TOOLS,
} from '../testing/initramfs-guest';
import { bootDrivers } from './boot-drivers';

const steps = [bootDrivers(NO_TOOLS)];

describe('an initramfs of dracut', () => {
  it("gets the drivers, what they need, the guest's lists, and is told to load them", async () => {
    const image = gzipSync(writeCpio(DRACUT));
    const { files } = await carryOut(guestWith(image), steps);
    const entries = added(files, image);
    expect(
      [...entries.values()]
        .filter(({ mode }) => mode === 0o100644)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(
      [
        'etc/cmdline.d/90-watari.conf',
        'etc/modules-load.d/watari.conf',
        `${MODULES}/kernel/drivers/block/virtio_blk.ko.xz`,
        `${MODULES}/kernel/drivers/virtio/virtio.ko.xz`,
        `${MODULES}/kernel/drivers/virtio/virtio_pci.ko.xz`,
        `${MODULES}/modules.alias`,
        `${MODULES}/modules.builtin`,
        `${MODULES}/modules.dep`,
      ].sort(),
    );
    expect(textOf(entries, 'etc/modules-load.d/watari.conf')).toBe('virtio_pci\nvirtio_blk\n');
    expect(textOf(entries, 'etc/cmdline.d/90-watari.conf')).toBe('rd.driver.pre=virtio_pci,virtio_blk\n');
    expect(entries.has('lib')).toBe(false);
  });

  it('has them below lib where that is no link', async () => {
    const image = writeCpio(DRACUT.filter(({ path }) => path !== 'lib'));
    const { files } = await carryOut(guestWith(image), steps);
    expect(added(files, image).has(`lib/modules/${VERSION}/kernel/drivers/block/virtio_blk.ko.xz`)).toBe(
      true,
    );
  });

  it('that has them already stays as it is', async () => {
    const own = ['virtio_pci', 'virtio_blk'].map((name) => file(`${MODULES}/kernel/x/${name}.ko.xz`));
    expect((await carryOut(guestWith(gzipSync(writeCpio([...DRACUT, ...own]))), steps)).changed).toEqual({});
  });

  it('waits no more for devices of the physical server, and goes on waiting for names that stay', async () => {
    const hooks = 'usr/lib/dracut/hooks';
    const byUuid = `${hooks}/initqueue/finished/devexists-\\x2fdev\\x2fdisk\\x2fby-uuid\\x2f${ROOT_UUID}.sh`;
    const waiting = [
      file(`${hooks}/initqueue/finished/devexists-\\x2fdev\\x2fsda2.sh`, '[ -e "/dev/sda2" ]\n'),
      file(`${hooks}/emergency/80-\\x2fdev\\x2fsda2.sh`, 'warn\n'),
      file(byUuid, '[ -e x ]\n'),
      link('etc/systemd/system/initrd.target.wants/dev-sda2.device', '../dev-sda2.device'),
      link(
        'etc/systemd/system/initrd.target.wants/dev-disk-by\\x2did-ata\\x2dACME_1\\x2dpart2.device',
        '../x',
      ),
      link(
        `etc/systemd/system/initrd.target.wants/dev-disk-by\\x2duuid-${ROOT_UUID.replaceAll('-', '\\x2d')}.device`,
        '../x',
      ),
    ];
    const image = gzipSync(writeCpio([...DRACUT, ...waiting]));
    const { files } = await carryOut(guestWith(image), steps);
    const entries = added(files, image);
    expect(textOf(entries, `${hooks}/initqueue/finished/devexists-\\x2fdev\\x2fsda2.sh`)).toBe(':\n');
    expect(entries.has(byUuid)).toBe(false);
    const masked = [...entries.values()].filter(({ mode }) => mode === 0o120777);
    expect(masked.map(({ path, content }) => [path, content.toString()])).toEqual([
      ['etc/systemd/system/dev-sda2.device', '/dev/null'],
      ['etc/systemd/system/dev-disk-by\\x2did-ata\\x2dACME_1\\x2dpart2.device', '/dev/null'],
    ]);
  });

  it('has its own settings by names that stay', async () => {
    const own = [
      file('etc/cmdline.d/95root.conf', ' root=/dev/sda1 rootfstype=ext4\n resume=/dev/sda2\n'),
      file('etc/crypttab', 'root /dev/sda1 none luks\n'),
    ];
    const image = gzipSync(writeCpio([...DRACUT, ...own]));
    const entries = added((await carryOut(guestWith(image), steps)).files, image);
    expect(textOf(entries, 'etc/cmdline.d/95root.conf')).toBe(
      ` root=UUID=${ROOT_UUID} rootfstype=ext4\n resume=UUID=${SWAP_UUID}\n`,
    );
    expect(textOf(entries, 'etc/crypttab')).toBe(`root UUID=${ROOT_UUID} none luks\n`);
  });

  it('looks at all disks for LVM, too, where the guest does', async () => {
    const image = gzipSync(
      writeCpio([...DRACUT, file('etc/lvm/devices/system.devices', 'IDTYPE=sys_wwid\n')]),
    );
    const tree = { ...guestWith(image), '/etc/lvm/devices/system.devices': 'IDTYPE=sys_wwid IDNAME=naa.6\n' };
    const entries = added((await carryOut(tree, [machineCaches, ...steps])).files, image);
    expect(textOf(entries, 'etc/lvm/lvmlocal.conf')).toContain('use_devicesfile = 0');
  });

  it('is made anew with the drivers of both machines', async () => {
    const tree = { ...guestWith(gzipSync(writeCpio(DRACUT))), '/etc/dracut.conf.d/x.conf': '' };
    const { files } = await carryOut(tree, steps);
    expect(files['/etc/dracut.conf.d/watari.conf']).toContain(
      '\nadd_drivers+=" virtio_pci virtio_blk virtio_net ahci "\n',
    );
  });
});

describe('modules by other names', () => {
  it('come along by the names of the lists that replace those of the initramfs', async () => {
    const unpacked = DRACUT.map((entry) => ({ ...entry, path: entry.path.replace('ahci.ko.xz', 'ahci.ko') }));
    const image = gzipSync(writeCpio(unpacked));
    const entries = added((await carryOut(guestWith(image), steps)).files, image);
    expect(textOf(entries, `${MODULES}/kernel/drivers/ata/ahci.ko.xz`)).toBe(
      'ELF of kernel/drivers/ata/ahci.ko.xz',
    );
  });

  it('are refused where nothing in the initramfs unpacks them', async () => {
    const bare = DRACUT.filter(({ path }) => !path.includes('lzma')).map((entry) => ({
      ...entry,
      path: entry.path.replace('ahci.ko.xz', 'ahci.ko'),
    }));
    await expect(carryOut(guestWith(gzipSync(writeCpio(bare))), steps)).rejects.toMatchObject({
      code: 'DISK_INITRAMFS_UNSUPPORTED',
      message: expect.stringContaining('.xz') as string,
    });
  });
});

describe('an initramfs of initramfs-tools', () => {
  it('keeps its list of modules, and gets the drivers behind', async () => {
    const image = writeCpio([...TOOLS, file('conf/conf.d/resume', 'RESUME=/dev/sda2\n')]);
    const entries = added((await carryOut(guestWith(image, ''), steps)).files, image);
    expect(textOf(entries, 'conf/modules')).toBe('ahci\nvirtio_pci\nvirtio_blk\n');
    expect(textOf(entries, 'conf/conf.d/resume')).toBe(`RESUME=UUID=${SWAP_UUID}\n`);
  });

  it('carries the rules for NICs that earlier steps made', async () => {
    const image = writeCpio([...TOOLS, folder('usr/lib/udev/rules.d')]);
    const tree = { ...guestWith(image, ''), '/etc/network/interfaces': 'iface eth0 inet dhcp\n' };
    const { files } = await carryOut(tree, [keepNics, ...steps], { nics: MOVED });
    expect(textOf(added(files, image), 'etc/udev/rules.d/70-watari-net.rules')).toContain(NEW_MAC);
  });

  it.each([
    ['MODULES=dep', 'ahci\nvirtio_pci'],
    ['MODULES=most', '\nvirtio_pci'],
  ])('with %s lists what the physical server needs where it must', async (setting, expected) => {
    const image = writeCpio([...TOOLS, file(`usr/lib/modules/${VERSION}/kernel/drivers/ata/ahci.ko`)]);
    const tree = {
      ...guestWith(image, ''),
      '/etc/initramfs-tools/modules': '# list\n',
      '/etc/initramfs-tools/initramfs.conf': `${setting}\n`,
    };
    const text = (await carryOut(tree, steps)).files['/etc/initramfs-tools/modules'] ?? '';
    const names = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(names.includes('ahci')).toBe(expected.startsWith('ahci'));
    expect(names).toEqual(expect.arrayContaining(['virtio_pci', 'virtio_blk', 'virtio_net']));
  });
});

describe('kernels', () => {
  it('of SUSE and of boot loader entries are found', async () => {
    const image = gzipSync(writeCpio(DRACUT));
    const suse = Object.fromEntries(
      Object.entries(guestWith(image)).map(([path, content]) => [
        path.replace(INITRAMFS, `/boot/initrd-${VERSION}`),
        content,
      ]),
    );
    expect(Object.keys((await carryOut(suse, steps)).changed)).toEqual([`/boot/initrd-${VERSION}`]);

    const entry = `title Linux\nversion ${VERSION}\nlinux /0123/${VERSION}/linux\ninitrd /0123/${VERSION}/initrd\n`;
    const moved = Object.fromEntries(
      Object.entries(guestWith(image)).map(([path, content]) => [
        path
          .replace(INITRAMFS, `/efi/0123/${VERSION}/initrd`)
          .replace(`/boot/vmlinuz-${VERSION}`, `/efi/0123/${VERSION}/linux`),
        content,
      ]),
    );
    const { changed } = await carryOut({ ...moved, '/efi/loader/entries/a.conf': entry }, steps);
    expect(Object.keys(changed)).toEqual([`/efi/0123/${VERSION}/initrd`]);
  });

  it('that are old and broken are told, and the newest one must do', async () => {
    const image = gzipSync(writeCpio(DRACUT));
    const tree = { ...guestWith(image), '/boot/vmlinuz-4.0': '', '/boot/initramfs-4.0.img': 'x' };
    const { changed, leftUndone } = await carryOut(tree, steps);
    expect(Object.keys(changed)).toEqual([INITRAMFS]);
    expect(leftUndone[0]).toContain('the kernel 4.0');
    const newer = { ...guestWith(image), '/boot/vmlinuz-9.0': '', '/boot/initramfs-9.0.img': 'x' };
    await expect(carryOut(newer, steps)).rejects.toMatchObject({ code: 'DISK_KERNEL_UNSUPPORTED' });
  });

  it.each([
    ['mkinitcpio', { '/etc/mkinitcpio.conf': '', '/boot/vmlinuz-linux': '' }, 'DISK_INITRAMFS_UNSUPPORTED'],
    ['unified kernel images', { '/boot/efi/EFI/Linux/a.efi': '' }, 'DISK_KERNEL_UNSUPPORTED'],
    ['vmlinuz-VERSION', { '/boot/memtest': '' }, 'DISK_KERNEL_UNSUPPORTED'],
  ])('that start otherwise are refused by name: %s', async (name, tree, code) => {
    await expect(carryOut(tree, steps)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(name) as string,
    });
  });
});

describe('hostile kernels', () => {
  it('lead nowhere by names in entries', async () => {
    const image = gzipSync(writeCpio(DRACUT));
    const entry = (linux: string): string => `version ${VERSION}\nlinux ${linux}\ninitrd /../../etc/shadow\n`;
    const tree = {
      ...guestWith(image),
      '/etc/shadow': 'secret',
      '/boot/loader/entries/a.conf': entry('/../../../etc/shadow'),
      '/boot/loader/entries/b.conf': entry('/$(reboot)'),
    };
    expect(Object.keys((await carryOut(tree, steps)).changed)).toEqual([INITRAMFS]);
  });

  it('whose list leads out of their folder are refused', async () => {
    const tree = guestWith(gzipSync(writeCpio(DRACUT)));
    const dep = `../../../etc/virtio_pci.ko:\nkernel/virtio_blk.ko: ../../x.ko\n`;
    await expect(
      carryOut({ ...tree, [`/usr/lib/modules/${VERSION}/modules.dep`]: dep }, steps),
    ).rejects.toMatchObject({
      code: 'DISK_KERNEL_UNSUPPORTED',
    });
  });
});
