import { TARGET, carryOut } from '../testing/carry-out';
import { guestAgentOn } from './guest-agent';
import { vendorAgentsOff } from './vendor-agents-off';

const SYSTEMD = { '/usr/lib/systemd/systemd': '' };
const packaged = (name: string): string => `/usr/lib/systemd/system/${name}`;
const own = (name: string): string => `/etc/systemd/system/${name}`;

describe('agents of the old machine', () => {
  const steps = [vendorAgentsOff];

  it('are masked where the guest has them, and nowhere else', async () => {
    const tree = {
      ...SYSTEMD,
      [packaged('vmtoolsd.service')]: '[Service]\n',
      [packaged('hp-health.service')]: '[Service]\n',
      [packaged('sshd.service')]: '[Service]\n',
    };
    const { changed } = await carryOut(tree, steps);
    expect(changed).toEqual({
      [own('vmtoolsd.service')]: '',
      [own('hp-health.service')]: '',
    });
  });

  it('whose own unit stands in the way get a condition that never holds', async () => {
    const tree = {
      ...SYSTEMD,
      [own('waagent.service')]: '[Service]\nExecStart=/opt/waagent\n',
      [packaged('open-vm-tools.service')]: '[Service]\n',
      [own('vmtoolsd.service')]: { link: '/usr/lib/systemd/system/open-vm-tools.service' },
    };
    const { changed } = await carryOut(tree, steps);
    expect(Object.keys(changed).sort()).toEqual(
      [
        own('open-vm-tools.service'),
        own('vmtoolsd.service.d/90-watari-off.conf'),
        own('waagent.service.d/90-watari-off.conf'),
      ].sort(),
    );
    expect(changed[own('waagent.service.d/90-watari-off.conf')]).toContain(
      '[Unit]\nConditionPathExists=!/\n',
    );
  });

  it('that are masked already stay so', async () => {
    const tree = {
      ...SYSTEMD,
      [packaged('smartd.service')]: 'x',
      [own('smartd.service')]: '',
      [packaged('mcelog.service')]: 'x',
      [own('mcelog.service')]: { link: '/dev/null' },
    };
    expect((await carryOut(tree, steps)).changed).toEqual({});
  });

  it('started by init scripts under systemd are masked, too', async () => {
    const { changed } = await carryOut({ ...SYSTEMD, '/etc/init.d/dataeng': '#!/bin/sh\n' }, steps);
    expect(changed).toEqual({ [own('dataeng.service')]: '' });
  });

  it('started by scripts and upstart alone do not start', async () => {
    const script = '#!/bin/sh\n# chkconfig: 35 99 01\nstart\n';
    const sysv = { '/etc/inittab': '', '/etc/init.d/vmware-tools': script, '/etc/init.d/dsm_sa_ipmi': 'ELF' };
    const { files, leftUndone } = await carryOut(sysv, steps);
    expect(files['/etc/init.d/vmware-tools']).toBe(
      '#!/bin/sh\nexit 0 # Switched off on this virtual machine.\n# chkconfig: 35 99 01\nstart\n',
    );
    expect(leftUndone[0]).toContain('/etc/init.d/dsm_sa_ipmi');

    const upstart = { '/etc/init/hv-kvp-daemon.conf': 'exec x\n' };
    expect((await carryOut(upstart, steps)).changed).toEqual({
      '/etc/init/hv-kvp-daemon.override': 'manual\n',
    });
  });

  it("of the target's own kind stay", async () => {
    const tree = {
      ...SYSTEMD,
      [packaged('qemu-guest-agent.service')]: '',
      [packaged('vmtoolsd.service')]: 'x',
    };
    expect(Object.keys((await carryOut(tree, steps)).changed)).toEqual([own('vmtoolsd.service')]);
    const toVmware = { target: { ...TARGET, agent: 'vmware' as const } };
    expect(Object.keys((await carryOut(tree, steps, toVmware)).changed)).toEqual([
      own('qemu-guest-agent.service'),
    ]);
  });

  it('are found by the packages that they come with, too', async () => {
    const list = [
      '/.',
      '/lib/systemd/system/dsm-new.service',
      '/lib/systemd/system/x@.service',
      '/etc/init.d/dsm-old',
      '/etc/passwd',
    ];
    const installed = (name: string): string => `Package: ${name}\nStatus: install ok installed\n\n`;
    const tree = {
      ...SYSTEMD,
      '/var/lib/dpkg/status': installed('srvadmin-new') + installed('nginx'),
      '/var/lib/dpkg/info/srvadmin-new:amd64.list': list.join('\n'),
      '/var/lib/dpkg/info/nginx.list': '/lib/systemd/system/nginx.service\n',
      [packaged('dsm-new.service')]: 'x',
      [packaged('nginx.service')]: 'x',
      '/etc/init.d/dsm-old': '#!/bin/sh\n',
    };
    expect((await carryOut(tree, steps)).changed).toEqual({
      [own('dsm-new.service')]: '',
      [own('dsm-old.service')]: '',
    });
  });

  it('that only the operator knows are switched off by name', async () => {
    const tree = {
      ...SYSTEMD,
      '/var/lib/dpkg/status': 'x',
      [packaged('acme-hwmon.service')]: 'x',
      [packaged('acme.timer')]: 'x',
    };
    const unitsOff = ['acme-hwmon.service', 'acme.timer', 'none.service', '../../evil', 'a\nb'];
    const { changed, leftUndone } = await carryOut(tree, steps, { unitsOff });
    expect(Object.keys(changed).sort()).toEqual([own('acme-hwmon.service'), own('acme.timer')]);
    expect(leftUndone).toHaveLength(3);
  });

  it('include cloud-init, which would set up a new server', async () => {
    const tree = { ...SYSTEMD, [packaged('cloud-init.service')]: 'x' };
    expect((await carryOut(tree, steps)).changed).toEqual({ '/etc/cloud/cloud-init.disabled': '' });
  });
});

describe('the guest agent', () => {
  const steps = [guestAgentOn];
  const unit = own('watari-install-agent.service');

  it.each([
    ['debian', 'ID=debian\nVERSION_ID="12"\n', 'apt-get'],
    ['rocky', 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"\n', 'dnf'],
    ['opensuse', 'ID="opensuse-leap"\nVERSION_ID="15.5"\n', 'zypper'],
  ])('is installed by %s after its start, which waits for nothing', async (_name, release, program) => {
    const { changed } = await carryOut({ ...SYSTEMD, '/etc/os-release': release }, steps);
    expect(Object.keys(changed).sort()).toEqual([
      own('timers.target.d/90-watari-install-agent.conf'),
      unit,
      own('watari-install-agent.timer'),
    ]);
    expect(changed[unit]).toMatch(
      new RegExp(`^ExecStart=/bin/sh -c '[^']*${program}[^']*qemu-guest-agent[^']*'$`, 'm'),
    );
    expect(changed[own('watari-install-agent.timer')]).toContain('ConditionPathExists=!/usr/sbin/qemu-ga');
  });

  it('that is there is left to its package', async () => {
    const tree = { ...SYSTEMD, '/etc/os-release': 'ID=debian\nVERSION_ID=12\n', '/usr/sbin/qemu-ga': 'ELF' };
    expect((await carryOut(tree, steps)).changed).toEqual({});
  });

  it('is not installed where the operator does not want that', async () => {
    const tree = { ...SYSTEMD, '/etc/os-release': 'ID=debian\nVERSION_ID=12\n' };
    const { changed, leftUndone } = await carryOut(tree, steps, {
      target: { ...TARGET, installsAgent: false },
    });
    expect(changed).toEqual({});
    expect(leftUndone).toEqual([]);
  });

  it('is told of where nothing here can install it', async () => {
    const unknown = await carryOut(
      { ...SYSTEMD, '/etc/os-release': 'ID=acme\nPRETTY_NAME="Acme Linux"\n' },
      steps,
    );
    expect(unknown.leftUndone[0]).toContain('Acme Linux');
    const old = await carryOut({ '/etc/inittab': '', '/etc/os-release': 'ID=debian\nVERSION_ID=7\n' }, steps);
    expect(old.leftUndone[0]).toContain('systemd');
    expect([unknown.changed, old.changed]).toEqual([{}, {}]);
  });
});
