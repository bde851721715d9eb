import { carryOut, ROOT_UUID, SWAP_UUID, UNNAMED_DEVICES } from '../testing/carry-out';
import { MemoryGuest } from '../testing/memory-guest';
import { readMovedDisks } from './moved-disks';
import { stableStorage } from './stable-storage';

const steps = [stableStorage];

describe('mounts', () => {
  it('have names that stay, and keep all else of their lines', async () => {
    const fstab =
      '# by the installer\n/dev/sda1\t/ ext4  errors=remount-ro 0 1\n  /dev/sda2 none swap sw 0 0\nUUID=1 /x ext4 defaults 0 2\n';
    const { files, leftUndone } = await carryOut({ '/etc/fstab': fstab }, steps);
    expect(files['/etc/fstab']).toBe(
      fstab.replace('/dev/sda1', `UUID=${ROOT_UUID}`).replace('/dev/sda2', `UUID=${SWAP_UUID}`),
    );
    expect(leftUndone).toEqual([]);
  });

  it('of disks that do not come along do not stop the start', async () => {
    const fstab =
      '/dev/sdb1 /data ext4 defaults 0 2\n/dev/sdc1 /more xfs nofail,noatime\n/dev/sdd1 /cd iso9660 noauto 0 0\n';
    const { files, leftUndone } = await carryOut({ '/etc/fstab': fstab }, steps);
    expect(files['/etc/fstab']).toBe(fstab.replace('defaults', 'defaults,nofail'));
    expect(leftUndone.join()).toContain('/dev/sdb1');
    expect(leftUndone.join()).not.toContain('/dev/sdd1');
  });

  it('by names of multipath are told', async () => {
    const { changed, leftUndone } = await carryOut(
      { '/etc/fstab': '/dev/mapper/mpatha1 / ext4 ro 0 1\n' },
      steps,
    );
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('/dev/mapper/mpatha1');
  });

  it('through a link that leads out of the root stay below it', async () => {
    const tree = { '/etc/fstab': { link: '../../../x/fstab' }, '/x/fstab': '/dev/sda1 / ext4 ro 0 1\n' };
    const { changed } = await carryOut(tree, steps);
    expect(Object.keys(changed)).toEqual(['/x/fstab']);
  });

  it('in a folder by the name of fstab are none', async () => {
    expect((await carryOut({ '/etc/fstab/x': '/dev/sda1 / ext4\n' }, steps)).changed).toEqual({});
  });
});

describe('encrypted devices', () => {
  it('are unlocked by names that stay', async () => {
    const { files } = await carryOut(
      { '/etc/crypttab': 'root /dev/sda1 none luks,discard\nx UUID=1 none\n' },
      steps,
    );
    expect(files['/etc/crypttab']).toBe(`root UUID=${ROOT_UUID} none luks,discard\nx UUID=1 none\n`);
  });

  it('that are made anew at every start have the name of the partition: a UUID would be gone', async () => {
    const line = 'swap /dev/sda2 /dev/urandom swap,cipher=aes-xts-plain64\n';
    const { files } = await carryOut({ '/etc/crypttab': line }, steps);
    expect(files['/etc/crypttab']).toBe(
      'swap PARTUUID=cafe0001-02 /dev/urandom swap,cipher=aes-xts-plain64\n',
    );
  });

  it('that are made anew are left to a person where the table names nothing', async () => {
    const line = 'swap /dev/sda2 /dev/urandom swap\n';
    const { changed, leftUndone } = await carryOut({ '/etc/crypttab': line }, steps, {
      devices: UNNAMED_DEVICES,
    });
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('Give the disk an identifier');
  });

  it('that are made anew where nothing is yet have the name of the table', async () => {
    const { files } = await carryOut({ '/etc/crypttab': 'swap /dev/sda3 /dev/urandom swap\n' }, steps);
    expect(files['/etc/crypttab']).toBe('swap PARTUUID=cafe0001-03 /dev/urandom swap\n');
  });
});

describe('other places that name devices', () => {
  it.each([
    ['/etc/initramfs-tools/conf.d/resume', 'RESUME=/dev/sda2\n', `RESUME=UUID=${SWAP_UUID}\n`],
    ['/etc/initramfs-tools/conf.d/resume', 'RESUME=none\n', 'RESUME=none\n'],
    ['/etc/uswsusp.conf', 'resume device = /dev/sda2\n', `resume device = UUID=${SWAP_UUID}\n`],
    ['/etc/kdump.conf', 'ext4 /dev/sda1\npath /var\n', `ext4 UUID=${ROOT_UUID}\npath /var\n`],
    [
      '/etc/dracut.conf.d/cmdline.conf',
      'kernel_cmdline="root=/dev/sda1 resume=/dev/sda2"\n# root=/dev/sda1\n',
      `kernel_cmdline="root=UUID=${ROOT_UUID} resume=UUID=${SWAP_UUID}"\n# root=/dev/sda1\n`,
    ],
    [
      '/etc/systemd/system/data.mount',
      '[Mount]\nWhat=/dev/sda1\nWhere=/data\n',
      `[Mount]\nWhat=/dev/disk/by-uuid/${ROOT_UUID}\nWhere=/data\n`,
    ],
  ])('%s: %j becomes %j', async (path, before, after) => {
    expect((await carryOut({ [path]: before }, steps)).files[path]).toBe(after);
  });

  it('tells of swap units, whose names are those of devices', async () => {
    const tree = { '/etc/systemd/system/dev-sda2.swap': '[Swap]\nWhat=/dev/sda2\n' };
    const { changed, leftUndone } = await carryOut(tree, steps);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('/dev/sda2');
  });
});

describe('the disk that is moved', () => {
  it.each([
    ['/etc/fstab', '/dev/sdb1 / ext4 ro 0 1\n/dev/sdc1 /x ext4 ro 0 1\n', ['sdb']],
    ['/etc/fstab', '/dev/disk/by-id/ata-ACME_1-part2 / ext4 ro 0 1\n', ['ata-ACME_1']],
    ['/boot/loader/entries/a.conf', 'options root=/dev/nvme1n1p2 ro\n', ['nvme1n1']],
    ['/boot/grub/menu.lst', 'kernel /vmlinuz root=/dev/hda2 ro\n', ['hda']],
    ['/boot/grub2/grubenv', '# GRUB Environment Block\nkernelopts=root=/dev/sdd1 ro\n', ['sdd']],
    ['/etc/fstab', 'UUID=1 / ext4 ro 0 1\n', ['sda', 'hda', 'vda', 'xvda', 'nvme0n1', 'mmcblk0']],
  ])('has its old name from %s: %j', async (path, text, expected) => {
    expect([...(await readMovedDisks(new MemoryGuest({ [path]: text })))]).toEqual(expected);
  });
});
