import { keepNics } from '../network/keep-nics';
import { TARGET, carryOut } from '../testing/carry-out';
import { hardwareClock } from './clock';
import { machineCaches } from './machine-caches';
import { selinuxRelabel } from './selinux-relabel';

describe('notes of the old disks', () => {
  const steps = [machineCaches];
  const OFF = '# (on the physical server) ';

  it("switch LVM's list of devices off, not away", async () => {
    const devices = 'VERSION=1.1.1\nIDTYPE=sys_wwid IDNAME=naa.6000 DEVNAME=/dev/sda2 PVID=x PART=2\n';
    const tree = {
      '/etc/lvm/devices/system.devices': devices,
      '/etc/lvm/lvmlocal.conf': 'local {\n}\ndevices {\n\tuse_devicesfile = 1\n}\n',
    };
    const { files, changed } = await carryOut(tree, steps);
    expect(Object.keys(changed)).toEqual(['/etc/lvm/lvmlocal.conf']);
    expect(files['/etc/lvm/lvmlocal.conf']).toBe(
      `local {\n}\ndevices {\n${OFF}\tuse_devicesfile = 1\n}\ndevices {\n\tuse_devicesfile = 0\n}\n`,
    );
  });

  it('make the settings where LVM has none of its own', async () => {
    const tree = { '/etc/lvm/devices/system.devices': 'IDTYPE=devname IDNAME=/dev/sda2\n' };
    expect((await carryOut(tree, steps)).changed).toEqual({
      '/etc/lvm/lvmlocal.conf': 'devices {\n\tuse_devicesfile = 0\n}\n',
    });
  });

  it('leave an LVM that has no list', async () => {
    const tree = { '/etc/lvm/devices/system.devices': '# none\n', '/etc/lvm/lvm.conf': 'devices {\n}\n' };
    expect((await carryOut(tree, steps)).changed).toEqual({});
  });

  it('switch filters off that name the old disks, over as many lines as they have', async () => {
    const conf =
      'devices {\n\tfilter = [ "a|/dev/sda2|",\n\t\t"r|.*|" ]\n\tglobal_filter = [ "r|/dev/drbd.*|" ]\n\t# filter = [ "a|/dev/sdb|" ]\n}\n';
    const { files } = await carryOut({ '/etc/lvm/lvm.conf': conf }, steps);
    expect(files['/etc/lvm/lvm.conf']).toBe(
      `devices {\n${OFF}\tfilter = [ "a|/dev/sda2|",\n${OFF}\t\t"r|.*|" ]\n\tglobal_filter = [ "r|/dev/drbd.*|" ]\n\t# filter = [ "a|/dev/sdb|" ]\n}\n`,
    );
  });

  it('of a filter without end stop soon', async () => {
    const conf = `filter = [ "a|/dev/sda|"\n${'x\n'.repeat(1000)}`;
    const { files } = await carryOut({ '/etc/lvm/lvm.conf': conf }, steps);
    expect(files['/etc/lvm/lvm.conf']?.split('\n').filter((line) => line.startsWith(OFF))).toHaveLength(1);
  });

  it.each([
    ['/etc/blkid/blkid.tab', '<device DEVNO="0x0801">/dev/sda1</device>\n', ''],
    ['/etc/lvm/cache/.cache', 'persistent_filter_cache {\n}\n', ''],
    ['/etc/multipath/wwids', '# Multipath wwids\n/3600508b1/\n', `# Multipath wwids\n${OFF}/3600508b1/\n`],
    [
      '/etc/mdadm/mdadm.conf',
      'DEVICE /dev/sda1 /dev/sdb1\nARRAY /dev/md0 UUID=1\n',
      `${OFF}DEVICE /dev/sda1 /dev/sdb1\nDEVICE partitions\nARRAY /dev/md0 UUID=1\n`,
    ],
    ['/etc/mdadm.conf', 'DEVICE partitions\n', 'DEVICE partitions\n'],
    [
      '/etc/modprobe.d/hardening.conf',
      'blacklist virtio-net\ninstall virtio_blk /bin/true\nblacklist pcspkr\noptions virtio_net x=1\n',
      `${OFF}blacklist virtio-net\n${OFF}install virtio_blk /bin/true\nblacklist pcspkr\noptions virtio_net x=1\n`,
    ],
  ])('in %s: %j becomes %j', async (path, before, after) => {
    expect((await carryOut({ [path]: before }, steps)).files[path]).toBe(after);
  });
});

describe('the hardware clock', () => {
  const steps = [hardwareClock];

  it.each([
    ['/etc/adjtime', '0.1 1600000000 0.0\n1600000000\nLOCAL\n', '0.1 1600000000 0.0\n1600000000\nUTC\n'],
    ['/etc/adjtime', '0.1 1600000000 0.0\n1600000000\nUTC\n', '0.1 1600000000 0.0\n1600000000\nUTC\n'],
    ['/etc/adjtime', '0.0 0 0\n0', '0.0 0 0\n0'],
    ['/etc/default/rcS', 'UTC=no\n', 'UTC=yes\n'],
    ['/etc/sysconfig/clock', 'ZONE="Asia/Tokyo"\nUTC=false\n', 'ZONE="Asia/Tokyo"\nUTC=true\n'],
    ['/etc/sysconfig/clock', 'HWCLOCK="--localtime"\n', 'HWCLOCK="-u"\n'],
    ['/etc/sysconfig/clock', 'HWCLOCK="--utc"\n', 'HWCLOCK="--utc"\n'],
  ])('by %s: %j becomes %j', async (path, before, after) => {
    expect((await carryOut({ [path]: before }, steps)).files[path]).toBe(after);
  });

  it('shows local time where the target does', async () => {
    const tree = { '/etc/adjtime': '0.0 0 0.0\n0\nUTC\n' };
    const { files } = await carryOut(tree, steps, { target: { ...TARGET, clock: 'local' } });
    expect(files['/etc/adjtime']).toBe('0.0 0 0.0\n0\nLOCAL\n');
  });
});

describe('labels of SELinux', () => {
  const steps = [keepNics, selinuxRelabel];
  const interfaces = { '/etc/network/interfaces': 'iface eth0 inet dhcp\n' };

  it.each([
    ['enforcing', true],
    ['permissive', true],
    ['disabled', false],
  ])('are made anew where files are new and it is %s', async (mode, isMade) => {
    const tree = {
      ...interfaces,
      '/etc/selinux/config': `# SELINUX=\nSELINUX=${mode}\nSELINUXTYPE=targeted\n`,
    };
    expect('/.autorelabel' in (await carryOut(tree, steps)).changed).toBe(isMade);
  });

  it('stay where no file is new', async () => {
    const tree = { '/etc/selinux/config': 'SELINUX=enforcing\n', '/etc/adjtime': '0.0 0 0.0\n0\nLOCAL\n' };
    expect(Object.keys((await carryOut(tree, [hardwareClock, ...steps])).changed)).toEqual(['/etc/adjtime']);
  });
});
