import { SERVER } from './server';

export interface ServerFile {
  /** Absolute, inside the server. */
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

export interface ServerFacts {
  readonly codename: string;
  /** The server's own package sources, in deb822 form. */
  readonly aptSources: string;
  readonly machineId: string;
  /** Such as 6.1.0-18-amd64. */
  readonly kernelRelease: string;
}

/** Device names are the old-fashioned ones on purpose: this is the server that nobody dared to touch for years. */
const KERNEL_PARAMETERS = 'root=/dev/sda1 ro console=tty0 console=ttyS0,115200 quiet';

/** Files that have to be there before packages are configured, as their scripts read them. */
export function earlyServerFiles(): ServerFile[] {
  return [
    // Documentation is left out as on many a lean server, and drivers that no server is started from.
    file('/etc/dpkg/dpkg.cfg.d/lean-server', LEAN_SERVER),
    file('/etc/fstab', FSTAB),
    file('/etc/hostname', `${SERVER.hostname}\n`),
    file('/etc/initramfs-tools/conf.d/own-hardware', '# Only what this machine starts from.\nMODULES=list\n'),
    file('/etc/default/locale', 'LANG=C.UTF-8\n'),
  ];
}

/** Files that are written after packages were configured, over what those brought. */
export function serverFiles({ codename, aptSources, machineId, kernelRelease }: ServerFacts): ServerFile[] {
  return [
    ...earlyServerFiles(),
    file('/etc/machine-id', `${machineId}\n`),
    file('/etc/hosts', `127.0.0.1\tlocalhost\n127.0.1.1\t${SERVER.hostname}\n::1\tlocalhost ip6-localhost\n`),
    file('/etc/resolv.conf', 'nameserver 10.0.2.3\n'),
    file('/etc/apt/sources.list.d/debian.sources', aptSources),
    file(
      '/etc/initramfs-tools/modules',
      '# The SATA controller, its disks, and the root file system.\nahci\nsd_mod\next4\n',
    ),
    file('/etc/udev/rules.d/70-persistent-net.rules', PERSISTENT_NET),
    file('/etc/network/interfaces', INTERFACES),
    file('/etc/default/grub', GRUB_DEFAULTS),
    file('/boot/grub/device.map', '(hd0)\t/dev/sda\n'),
    file('/boot/grub/grub.cfg', grubConfig(codename, kernelRelease), 0o600),
    file('/etc/systemd/system/ledger.service', LEDGER_SERVICE),
  ];
}

function file(path: string, text: string, mode = 0o644): ServerFile {
  return { path, text, mode };
}

const LEAN_SERVER = `path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
path-exclude=/lib/modules/*/kernel/sound/*
path-exclude=/lib/modules/*/kernel/drivers/gpu/*
path-exclude=/lib/modules/*/kernel/drivers/media/*
path-exclude=/lib/modules/*/kernel/drivers/staging/*
path-exclude=/lib/modules/*/kernel/drivers/infiniband/*
path-exclude=/lib/modules/*/kernel/drivers/iio/*
path-exclude=/lib/modules/*/kernel/drivers/net/wireless/*
path-exclude=/lib/modules/*/kernel/drivers/bluetooth/*
path-exclude=/lib/modules/*/kernel/net/wireless/*
path-exclude=/lib/modules/*/kernel/net/mac80211/*
path-exclude=/lib/modules/*/kernel/net/bluetooth/*
`;

const FSTAB = `# <file system> <mount point> <type> <options> <dump> <pass>
/dev/sda1 / ext4 errors=remount-ro 0 1
`;

const PERSISTENT_NET = `# The network card in the first slot.
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${SERVER.mac}", ATTR{type}=="1", NAME="${SERVER.nicName}"
`;

const INTERFACES = `auto lo
iface lo inet loopback

allow-hotplug ${SERVER.nicName}
iface ${SERVER.nicName} inet static
    address 10.0.2.15/24
    gateway 10.0.2.2
`;

const GRUB_DEFAULTS = `GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"
GRUB_TERMINAL="console serial"
GRUB_DISABLE_LINUX_UUID=true
GRUB_DISABLE_OS_PROBER=true
`;

const LEDGER_SERVICE = `[Unit]
Description=Counts, and watches over its memory
After=local-fs.target

[Service]
ExecStart=/usr/bin/python3 -I -S /usr/local/lib/ledger/ledger.py
DynamicUser=yes
Restart=on-failure

[Install]
WantedBy=multi-user.target
`;

function grubConfig(codename: string, kernelRelease: string): string {
  return `set default=0
set timeout=0
insmod part_msdos
insmod ext2
set root='hd0,msdos1'

menuentry 'Debian GNU/Linux (${codename})' --class debian --class gnu-linux --class gnu --class os {
	insmod part_msdos
	insmod ext2
	set root='hd0,msdos1'
	linux	/boot/vmlinuz-${kernelRelease} ${KERNEL_PARAMETERS}
	initrd	/boot/initrd.img-${kernelRelease}
}
`;
}
