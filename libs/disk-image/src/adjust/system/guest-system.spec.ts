import { carryOut } from '../testing/carry-out';
import { MemoryGuest } from '../testing/memory-guest';
import { readGuestSystem } from './guest-system';
import { knownDistribution } from './known-distribution';

const osOf = async (files: Record<string, string>): Promise<[string, string]> => {
  const { family, osId } = await readGuestSystem(new MemoryGuest(files));
  return [family, osId];
};

describe('distributions', () => {
  it.each([
    ['ID=debian\nVERSION_ID="12"', 'debian', 'debian12'],
    ['ID=ubuntu\nVERSION_ID="22.04"', 'debian', 'ubuntu22.04'],
    ['ID="rhel"\nVERSION_ID="9.3"', 'redhat', 'rhel9.3'],
    ['ID="rocky"\nVERSION_ID="9.3"', 'redhat', 'rocky9'],
    ['ID="almalinux"\nVERSION_ID="8.9"', 'redhat', 'almalinux8'],
    ['ID="ol"\nVERSION_ID="8.9"', 'redhat', 'ol8.9'],
    ['ID="centos"\nNAME="CentOS Stream"\nVERSION_ID="8"', 'redhat', 'centos-stream8'],
    ['ID="centos"\nNAME="CentOS Linux"\nVERSION_ID="8"', 'redhat', 'centos8'],
    ['ID="centos"\nVERSION_ID="9"', 'redhat', 'centos-stream9'],
    ['ID="centos"\nVERSION_ID="7"', 'redhat', 'centos7'],
    ['ID=fedora\nVERSION_ID=39', 'redhat', 'fedora39'],
    ['ID="sles"\nVERSION_ID="15.5"', 'suse', 'sle15sp5'],
    ['ID="sles"\nVERSION_ID="12"', 'suse', 'sles12'],
    ['ID="opensuse-leap"\nVERSION_ID="15.5"', 'suse', 'opensuse15.5'],
    ['ID="opensuse-tumbleweed"\nVERSION_ID="20240101"', 'suse', 'opensusetumbleweed'],
    ['ID=arch', 'arch', 'archlinux'],
    ['ID=acme\nID_LIKE="suse opensuse"\nVERSION_ID=1', 'suse', 'acme1'],
    ['ID=acme\nVERSION_ID="$(x)"', 'unknown', 'unknown'],
    ['ID=$(reboot)', 'unknown', 'unknown'],
    ['', 'unknown', 'unknown'],
  ])('%j is %s, %s', async (release, family, osId) => {
    expect(await osOf({ '/etc/os-release': `${release}\n` })).toEqual([family, osId]);
  });

  it.each([
    ['/etc/redhat-release', 'CentOS release 6.10 (Final)\n', 'redhat', 'centos6.10'],
    ['/etc/redhat-release', 'Red Hat Enterprise Linux Server release 6.9 (Santiago)\n', 'redhat', 'rhel6.9'],
    [
      '/etc/SuSE-release',
      'SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n',
      'suse',
      'sles11sp4',
    ],
    ['/etc/debian_version', '6.0.10\n', 'debian', 'debian6'],
  ])('from before os-release are known by %s', async (path, text, family, osId) => {
    expect(await osOf({ [path]: text })).toEqual([family, osId]);
  });

  it('that are not known are told, and nothing is changed', async () => {
    const { changed, leftUndone } = await carryOut(
      { '/etc/os-release': 'ID=acme\nPRETTY_NAME="Acme\u001b[31m"\n' },
      [knownDistribution],
    );
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('Acme [31m: This distribution is not known.');
  });
});

describe('what a system is made of', () => {
  it('is told by its files', async () => {
    const guest = new MemoryGuest({
      '/lib64/ld-linux-x86-64.so.2': '',
      '/usr/lib/systemd/systemd': '',
      '/usr/lib/systemd/libsystemd-shared-252.22-1.so': '',
      '/var/lib/dpkg/status':
        'Package: bash\nStatus: install ok installed\n\nPackage: gone\nStatus: deinstall ok config-files\n',
    });
    const system = await readGuestSystem(guest);
    expect(system).toMatchObject({ architecture: 'x86_64', init: 'systemd', systemdVersion: 252 });
    expect([...(system.packages?.names ?? [])]).toEqual(['bash']);
  });

  it.each([
    [{ '/etc/init/rc.conf': '' }, 'upstart'],
    [{ '/etc/inittab': '' }, 'sysv'],
    [{ '/etc/x': '' }, 'unknown'],
  ])('%j starts by %s', async (files, init) => {
    expect((await readGuestSystem(new MemoryGuest(files as Record<string, string>))).init).toBe(init);
  });
});
