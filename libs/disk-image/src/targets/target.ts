import type { VmdkAdapter } from '../formats/vmdk/stream-writer';
import type { WrittenKindName } from '../formats/written-kinds';

/** Virtual hardware, or containers, that a server's disk can be made for. */
export const TARGET_NAMES = [
  'kvm-virtio',
  'kvm-virtio-scsi',
  'vmware-pvscsi',
  'vmware-lsi',
  'hyperv-gen1',
  'hyperv-gen2',
  'virtual-server-2005',
  'xen-pv',
  'xen-pvh',
  'xen-hvm',
  'container-openvz',
  'container-virtuozzo',
  'container-solaris-lx',
] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export type Firmware = 'bios' | 'uefi';
export type Architecture = 'x86_64' | 'i686';

/** What belongs to a platform inside of its guests, by the names that distributions give the packages. */
export const AGENTS = {
  qemu: ['qemu-guest-agent', 'spice-vdagent'],
  vmware: ['open-vm-tools', 'open-vm-tools-desktop', 'vmware-tools'],
  hyperv: ['hyperv-daemons', 'hyper-v', 'linux-cloud-tools-common', 'walinuxagent', 'WALinuxAgent'],
  xen: ['xe-guest-utilities', 'xe-guest-utilities-latest', 'xen-guest-agent', 'xcp-ng-agent'],
  virtualbox: ['virtualbox-guest-utils', 'virtualbox-guest-x11', 'virtualbox-guest-dkms'],
  parallels: ['parallels-tools', 'prl-tools-lin'],
} as const;
export type AgentOwner = keyof typeof AGENTS;

/** A machine with disks and NICs of its own. */
export interface MachineTarget {
  readonly name: TargetName;
  readonly kind: 'full' | 'para';
  readonly title: string;
  readonly disk: DiskHardware;
  readonly nic: NicHardware;
  /** Of which one has to be the server's own; none for a hypervisor that loads the kernel itself. */
  readonly firmware: readonly Firmware[];
  /** A kernel that lacks one of these options, as its config spells them, does not start. */
  readonly kernelOptions: readonly string[];
  /** The kernel's `console=` where its messages and a login are to be seen. */
  readonly console: string;
  /** Kinds of images that it takes, the usual one first. */
  readonly imageKinds: readonly WrittenKindName[];
  readonly vmdkAdapter?: VmdkAdapter;
  readonly limits: Limits;
  readonly agents: AgentChanges;
  readonly bootProof: BootProof;
}

/** A part of another system: it has no kernel, no disk and no boot loader of its own. */
export interface ContainerTarget {
  readonly name: TargetName;
  readonly kind: 'container';
  readonly title: string;
  /** What the file tree is handed over in. */
  readonly artifact: 'tar' | 'ploop' | 'tar.gz';
  readonly imageKinds: readonly WrittenKindName[];
  readonly limits: Limits;
  readonly agents: AgentChanges;
  /** What has to be changed in the tree, besides. */
  readonly edits: readonly ContainerEdit[];
  readonly bootProof: BootProof;
}

export type Target = MachineTarget | ContainerTarget;

export interface DiskHardware {
  readonly bus: 'virtio-blk' | 'virtio-scsi' | 'pvscsi' | 'lsi-sas' | 'ide' | 'vmbus' | 'xen';
  /** What the guest calls its first disk. */
  readonly guestName: string;
  readonly drivers: Drivers;
}

export interface NicHardware {
  readonly model: 'virtio-net' | 'vmxnet3' | 'e1000e' | 'netvsc' | 'tulip' | 'xen-netfront';
  readonly drivers: Drivers;
  /** Addresses that the platform gives its NICs begin so; others are taken, too. */
  readonly macPrefix: string;
}

/** Modules of the Linux kernel, with underscores. One that is built in needs no file. */
export interface Drivers {
  /** Without them the guest does not reach its disk, or its network: all of them. */
  readonly required: readonly string[];
  /** Taken along where the kernel has them. */
  readonly wanted: readonly string[];
}

/** Absent: no limit is known. */
export interface Limits {
  readonly architectures: readonly Architecture[];
  readonly virtualBytesMax?: number;
  readonly diskCountMax?: number;
  readonly nicCountMax?: number;
  readonly cpuCountMax?: number;
  readonly memoryBytesMax?: number;
  readonly takesWindows: boolean;
}

export interface AgentChanges {
  readonly install: readonly string[];
  readonly remove: readonly AgentOwner[];
}

/** How a converted disk is seen to boot before it is handed over. */
export type BootProof =
  | {
      readonly kind: 'qemu';
      readonly machine: string;
      readonly cpu: string;
      /** `-device` values up to and with the disk, whose drive `{drive}` stands for. */
      readonly disk: readonly string[];
      /** The `-device` value of a NIC; its netdev and address are added. */
      readonly nic: string;
      /** What a boot there says nothing of. */
      readonly unproven?: string;
    }
  | { readonly kind: 'none'; readonly why: string };

export type ContainerEdit =
  /** /etc/mtab leads to /proc/mounts. */
  | 'mtab-of-proc'
  /** Lines of /etc/fstab but those of proc and devpts are comments. */
  | 'fstab-without-disks'
  /** No login on a console that is not there. */
  | 'no-getty'
  /** Nothing reads the host's kernel messages. */
  | 'no-kernel-log'
  /** Settings of the kernel that are the host's to make are comments. */
  | 'no-host-sysctl'
  /** Device nodes that are made, since nothing else makes them. */
  | 'static-devices'
  /** Units of udev are masked. */
  | 'no-udev'
  /** Addresses are the host's to set. */
  | 'network-by-host'
  /** /boot and /lib/modules stay behind. */
  | 'no-kernel';
