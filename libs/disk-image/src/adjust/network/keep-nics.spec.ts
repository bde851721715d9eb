import { KEPT, MOVED, NEW_MAC, OLD_MAC, carryOut } from '../testing/carry-out';
import { MemoryGuest } from '../testing/memory-guest';
import { keepNics, readServerMacs } from './keep-nics';

const OUR_RULES = '/etc/udev/rules.d/70-watari-net.rules';
const SYSTEMD_252 = { '/usr/lib/systemd/libsystemd-shared-252.so': '' };
const SYSTEMD_219 = { '/usr/lib/systemd/systemd': '' };
const TWO = [
  { oldMac: OLD_MAC, newMac: NEW_MAC },
  { oldMac: '52:54:00:00:00:03', newMac: '02:00:00:00:00:04' },
];
const ruleOf = (mac: string, name: string): string =>
  `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${mac}", ATTR{type}=="1", NAME="${name}"`;

/** The rules that we wrote, as address and name. */
function bound(files: Record<string, string>): string[][] {
  const lines = (files[OUR_RULES] ?? '').split('\n').filter((line) => line.includes('NAME='));
  return lines.map((line) => [
    /address\}=="([^"]+)"/.exec(line)?.[1] ?? '',
    / NAME="([^"]+)"/.exec(line)?.[1] ?? '',
  ]);
}

describe('NICs with ifupdown', () => {
  it('binds the only name that is used to the only NIC, by its old and new address', async () => {
    const tree = { '/etc/network/interfaces': 'auto lo\niface lo inet loopback\niface enp3s0 inet dhcp\n' };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed).toEqual({
      [OUR_RULES]: `# Keeps the names of the NICs, by the addresses that they have here and on the physical server.\n${ruleOf(OLD_MAC, 'enp3s0')}\n${ruleOf(NEW_MAC, 'enp3s0')}\n`,
    });
  });

  it('looks below bonds, bridges and VLANs, and into files that are sourced', async () => {
    const tree = {
      '/etc/network/interfaces': 'source interfaces.d/*\nsource-directory /etc/more\n',
      '/etc/network/interfaces.d/bond': 'iface bond0 inet static\n bond-slaves eno1\n',
      '/etc/more/vlan': 'iface eno1.100 inet static\niface br0 inet dhcp\n bridge_ports eno1.100\n',
    };
    const { files } = await carryOut(tree, [keepNics], { nics: KEPT });
    expect(bound(files)).toEqual([[OLD_MAC, 'eno1']]);
  });

  it('does not take for a NIC what is made of one, whatever it is called', async () => {
    const tree = {
      '/etc/network/interfaces':
        'iface lan inet static\n  bridge_ports eno1\niface uplink inet manual\n  vlan-raw-device eno1\n',
    };
    expect(bound((await carryOut(tree, [keepNics])).files)).toEqual([[OLD_MAC, 'eno1']]);
  });

  it('does not guess which NIC has which name', async () => {
    const tree = { '/etc/network/interfaces': 'iface eno1 inet dhcp\niface eno2 inet dhcp\n' };
    const { changed, leftUndone } = await carryOut(tree, [keepNics], { nics: TWO });
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('eno1, eno2');
    expect(leftUndone[0]).toContain('Give each address with its name.');
  });

  it('takes names from the caller', async () => {
    const tree = { '/etc/network/interfaces': 'iface eno1 inet dhcp\niface eno2 inet dhcp\n' };
    const nics = TWO.map((nic, index) => ({ ...nic, name: `eno${index + 1}` }));
    const { files } = await carryOut(tree, [keepNics], { nics });
    expect(bound(files).map(([, name]) => name)).toEqual(['eno1', 'eno1', 'eno2', 'eno2']);
  });

  it.each([
    ['/etc/network/interfaces', 'iface eth0 inet dhcp\n'],
    ['/etc/systemd/network/a.network', '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n'],
    ['/etc/NetworkManager/system-connections/a', '[ipv4]\nmethod=auto\n'],
    ['/etc/sysconfig/network-scripts/ifcfg-eth0', 'DEVICE=eth0\nBOOTPROTO="dhcp"\n'],
    ['/etc/netplan/a.yaml', 'network: {ethernets: {eth0: {dhcp4: true}}}\n'],
  ])('tells whose DHCP server has to know the new address: %s', async (path, text) => {
    const told = (await carryOut({ [path]: text }, [keepNics], { nics: MOVED })).leftUndone;
    expect(told.join()).toContain(`addresses by DHCP (${path})`);
    expect((await carryOut({ [path]: text }, [keepNics], { nics: KEPT })).leftUndone).toEqual([]);
  });

  it('does not follow sources in a circle', async () => {
    const tree = { '/etc/network/interfaces': 'source interfaces\niface eth0 inet dhcp\n' };
    const { files } = await carryOut(tree, [keepNics]);
    expect(bound(files)).toEqual([[OLD_MAC, 'eth0']]);
  });
});

describe("udev's rules", () => {
  const path = '/etc/udev/rules.d/70-persistent-net.rules';
  const generated = ruleOf(OLD_MAC, 'eth0').replace('"add", ', '"add", KERNELS=="0000:02:00.0", ');

  it('hold for both addresses, in whatever slot, and need none of ours beside', async () => {
    const { changed } = await carryOut({ [path]: `# made by a script\n${generated}\n` }, [keepNics], {
      nics: MOVED,
    });
    expect(changed).toEqual({
      [path]: `# made by a script\n${ruleOf(OLD_MAC, 'eth0')}\n${ruleOf(NEW_MAC, 'eth0')}\n`,
    });
  });

  it('count more than a name that the caller gives', async () => {
    const nics = MOVED.map((nic) => ({ ...nic, name: 'lan9' }));
    const { changed } = await carryOut({ [path]: `${ruleOf(OLD_MAC, 'eth0')}\n` }, [keepNics], { nics });
    expect(Object.keys(changed)).toEqual([path]);
    expect(changed[path]).not.toContain('lan9');
  });

  it('of a card that is gone stay, and its name is not given away', async () => {
    const tree = {
      [path]: `${ruleOf('00:00:00:00:00:99', 'eth0')}\n${ruleOf(OLD_MAC, 'eth1')}\n`,
      '/etc/network/interfaces': 'iface eth0 inet dhcp\niface eth1 inet dhcp\n',
    };
    const { files } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(files[path]).toContain('00:00:00:00:00:99');
    expect(bound(files)).toEqual([]);
    expect(files[path]).toContain(ruleOf(NEW_MAC, 'eth1'));
  });

  it('by the slot alone are off, since another device may be there', async () => {
    const bySlot = 'SUBSYSTEM=="net", KERNELS=="0000:02:00.0", NAME="lan0"';
    const tree = { [path]: `${bySlot}\n`, '/etc/network/interfaces': 'iface lan0 inet dhcp\n' };
    const { files } = await carryOut(tree, [keepNics]);
    expect(files[path]).toBe(`# (on the physical server) ${bySlot}\n`);
    expect(bound(files)).toEqual([[OLD_MAC, 'lan0']]);
  });

  it('tells that the order of kernel names counts', async () => {
    const tree = { [path]: `${ruleOf(OLD_MAC, 'eth1')}\n${ruleOf('52:54:00:00:00:03', 'eth0')}\n` };
    const { leftUndone } = await carryOut(tree, [keepNics], { nics: TWO });
    expect(leftUndone.join()).toContain('the order of eth0, eth1');
  });
});

describe('NICs with systemd-networkd', () => {
  const network = '/etc/systemd/network/10-lan.network';
  const link = '/etc/systemd/network/10-lan.link';

  it('lets a match by address be one by the name that a link file gives', async () => {
    const tree = {
      ...SYSTEMD_252,
      [link]: `[Match]\nMACAddress=${OLD_MAC}\nPath=pci-0000:02:00.0\n\n[Link]\nName=lan0\n`,
      [network]: `[Match]\nMACAddress=${OLD_MAC}\nDriver=e1000e\n\n[Network]\nAddress=192.0.2.1/24\n`,
    };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed).toEqual({
      [link]: `[Match]\nMACAddress=${OLD_MAC} ${NEW_MAC}\n\n[Link]\nName=lan0\n`,
      [network]: `[Match]\nName=lan0\n\n[Network]\nAddress=192.0.2.1/24\n`,
    });
  });

  it('lets it be one by both addresses where there is no name', async () => {
    const tree = {
      ...SYSTEMD_252,
      [network]: `[Match]\nMACAddress=${OLD_MAC.toUpperCase()}\n[Network]\nDHCP=yes\n`,
    };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed[network]).toBe(`[Match]\nMACAddress=${OLD_MAC} ${NEW_MAC}\n[Network]\nDHCP=yes\n`);
  });

  it('makes a second file for a systemd that takes one address', async () => {
    const tree = {
      ...SYSTEMD_219,
      [link]: `[Match]\nMACAddress=${OLD_MAC}\n[Link]\nName=lan0\nMTUBytes=9000\n`,
      [network]: `[Match]\nName=lan0\n[Network]\nDHCP=yes\n`,
    };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed).toEqual({
      '/etc/systemd/network/10-lan-watari.link': `[Match]\nMACAddress=${NEW_MAC}\n[Link]\nName=lan0\nMTUBytes=9000\n`,
    });
  });

  it('makes a second .network file for it, too', async () => {
    const tree = { ...SYSTEMD_219, [network]: `[Match]\nMACAddress=${OLD_MAC}\n[Network]\nDHCP=yes\n` };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed).toEqual({
      '/etc/systemd/network/10-lan-watari.network': `[Match]\nMACAddress=${NEW_MAC}\n[Network]\nDHCP=yes\n`,
    });
  });

  it('takes no device that it makes itself for a NIC', async () => {
    const tree = {
      '/etc/systemd/network/lan.netdev': '[NetDev]\nName=lan\nKind=bridge\n',
      '/etc/systemd/network/lan.network': '[Match]\nName=lan\n[Network]\nDHCP=yes\n',
      [network]: '[Match]\nName=eno1\n[Network]\nBridge=lan\n',
    };
    expect(bound((await carryOut(tree, [keepNics])).files)).toEqual([[OLD_MAC, 'eno1']]);
  });

  it('tells of a match by the slot', async () => {
    const tree = { [network]: '[Match]\nPath=pci-0000:02:00.0\n[Network]\nDHCP=yes\n' };
    const { changed, leftUndone } = await carryOut(tree, [keepNics]);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain(network);
  });
});

describe('NICs with NetworkManager', () => {
  const path = '/etc/NetworkManager/system-connections/lan.nmconnection';
  const profile = (connection: string, ethernet: string): string =>
    `[connection]\nid=lan\nuuid=11111111-2222-4333-8444-555555555555\ntype=ethernet\n${connection}\n[ethernet]\n${ethernet}\n[ipv4]\nmethod=manual\naddress1=192.0.2.1/24\n`;

  it('lets a profile of an address and a name be one of the name', async () => {
    const tree = {
      [path]: profile('interface-name=eno1\n', `mac-address=${OLD_MAC.toUpperCase()}\nmtu=9000\n`),
    };
    const { files } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(files[path]).toBe(profile('interface-name=eno1\n', 'mtu=9000\n'));
    expect(bound(files)).toEqual([
      [OLD_MAC, 'eno1'],
      [NEW_MAC, 'eno1'],
    ]);
  });

  it('gives a profile without a name the new address', async () => {
    const tree = { [path]: profile('', `mac-address=${OLD_MAC.toUpperCase()}\n`) };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed).toEqual({ [path]: profile('', `mac-address=${NEW_MAC.toUpperCase()}\n`) });
  });

  it('leaves a profile for any NIC, wireless ones, and bonds', async () => {
    const tree = {
      [path]: profile('', 'mtu=9000\n'),
      '/etc/NetworkManager/system-connections/air':
        '[connection]\ntype=wifi\n[wifi]\nmac-address=52:54:00:00:00:01\n',
      '/etc/NetworkManager/system-connections/b': '[connection]\ntype=bond\ninterface-name=bond0\n',
    };
    expect((await carryOut(tree, [keepNics], { nics: MOVED })).changed).toEqual({});
  });

  it('tells of a profile for a NIC that does not move', async () => {
    const tree = { [path]: profile('', 'mac-address=00:00:00:00:00:99\n') };
    const { changed, leftUndone } = await carryOut(tree, [keepNics]);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('00:00:00:00:00:99');
  });
});

describe('NICs with ifcfg files', () => {
  const path = '/etc/sysconfig/network-scripts/ifcfg-eno1';

  it('lets a file with a name ask for no address', async () => {
    const text = `TYPE="Ethernet"\nDEVICE=eno1\nHWADDR="${OLD_MAC.toUpperCase()}"\nUUID=1\nIPADDR=192.0.2.1\n`;
    const { files } = await carryOut({ [path]: text }, [keepNics], { nics: MOVED });
    expect(files[path]).toBe('TYPE="Ethernet"\nDEVICE=eno1\nUUID=1\nIPADDR=192.0.2.1\n');
    expect(bound(files)).toEqual([
      [OLD_MAC, 'eno1'],
      [NEW_MAC, 'eno1'],
    ]);
  });

  it('gives a file without a name the new address', async () => {
    const { changed } = await carryOut({ [path]: `HWADDR=${OLD_MAC}\nBOOTPROTO=dhcp\n` }, [keepNics], {
      nics: MOVED,
    });
    expect(changed).toEqual({ [path]: `HWADDR=${NEW_MAC.toUpperCase()}\nBOOTPROTO=dhcp\n` });
  });

  it("takes the name of wicked's files from the file's", async () => {
    const tree = { '/etc/sysconfig/network/ifcfg-eth0': "BOOTPROTO='static'\nIPADDR='192.0.2.1/24'\n" };
    const { files } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(bound(files)).toEqual([
      [OLD_MAC, 'eth0'],
      [NEW_MAC, 'eth0'],
    ]);
  });

  it('leaves bridges, VLANs and copies that editors left', async () => {
    const tree = {
      '/etc/sysconfig/network-scripts/ifcfg-br0': 'TYPE=Bridge\nDEVICE=br0\n',
      '/etc/sysconfig/network-scripts/ifcfg-eno1.5': 'DEVICE=eno1.5\nVLAN=yes\n',
      '/etc/sysconfig/network-scripts/ifcfg-eno9.bak': `DEVICE=eno9\nHWADDR=${OLD_MAC}\n`,
      '/etc/sysconfig/network/ifcfg-vlan5': "ETHERDEVICE='eth0'\n",
    };
    expect((await carryOut(tree, [keepNics], { nics: MOVED })).changed).toEqual({});
  });

  it('tells of a file for a NIC that does not move', async () => {
    const text = 'DEVICE=eno9\nHWADDR=00:00:00:00:00:99\n';
    const { changed, leftUndone } = await carryOut({ [path]: text }, [keepNics]);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('00:00:00:00:00:99');
  });

  it('expands nothing that a shell would', async () => {
    const text = 'DEVICE=$(reboot)\nHWADDR=`reboot`\n';
    expect((await carryOut({ [path]: text }, [keepNics], { nics: MOVED })).changed).toEqual({});
  });
});

describe('hostile names of settings', () => {
  it('are told, and not written to', async () => {
    const tree = {
      '/etc/netplan/a\nb.yaml': `network:\n  ethernets:\n    e:\n      match: {macaddress: "${OLD_MAC}"}\n`,
      '/etc/sysconfig/network-scripts/ifcfg-$(reboot)': `DEVICE=eth0\nHWADDR=${OLD_MAC}\n`,
    };
    const { changed, leftUndone } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(Object.keys(changed).filter((path) => path !== OUR_RULES)).toEqual([]);
    expect(leftUndone.filter((text) => text.includes('odd names'))).toHaveLength(2);
    expect(leftUndone.join('')).not.toContain('\n');
  });

  it('never become part of a rule', async () => {
    const tree = {
      '/etc/network/interfaces': 'iface a"b inet dhcp\niface x$(y) inet dhcp\niface eth0",RUN+="z inet\n',
    };
    expect((await carryOut(tree, [keepNics])).changed).toEqual({});
  });

  it('that lead out of the root stay below it', async () => {
    const tree = {
      '/etc/network/interfaces': { link: '../../../../../../real/interfaces' },
      '/real/interfaces': 'iface eth0 inet dhcp\n',
      '/etc/udev': { link: '/../../outside' },
      '/outside/rules.d/70-persistent-net.rules': `${ruleOf(OLD_MAC, 'eth0')}\n`,
    };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(Object.keys(changed)).toEqual(['/outside/rules.d/70-persistent-net.rules']);
  });
});

describe('addresses that the server had', () => {
  it.each([
    ['/etc/udev/rules.d/70-a.rules', `${ruleOf(OLD_MAC, 'eth0')}\n`],
    ['/etc/systemd/network/a.link', `[Match]\nMACAddress=${OLD_MAC}\n[Link]\nName=lan0\n`],
    ['/etc/systemd/network/a.network', `[Match]\nMACAddress=${OLD_MAC}\n`],
    [
      '/etc/NetworkManager/system-connections/a',
      `[connection]\ntype=ethernet\n[ethernet]\nmac-address=${OLD_MAC}\n`,
    ],
    ['/etc/sysconfig/network-scripts/ifcfg-a', `HWADDR=${OLD_MAC.toUpperCase()}\n`],
    ['/etc/netplan/a.yaml', `network: {ethernets: {a: {match: {macaddress: "${OLD_MAC}"}}}}\n`],
  ])('are found in %s, with a name or without', async (path, text) => {
    expect(await readServerMacs(new MemoryGuest({ [path]: text, '/etc/network/interfaces': '' }))).toEqual([
      OLD_MAC,
    ]);
  });
});
