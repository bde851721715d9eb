import type { AgentOwner, MachineTarget } from './target';

const TIB = 1024 ** 4;
const OTHERS: readonly AgentOwner[] = ['qemu', 'vmware', 'hyperv', 'virtualbox', 'parallels'];

/*
 * xl.cfg(5), xl-disk-configuration(5) and xen-vbd-interface(7) of Xen 4.20: names of disks, types of guests,
 * boot loaders. Kernel options and drivers: the kernel's arch/x86/xen, drivers/block/xen-blkfront.c,
 * drivers/net/xen-netfront.c. A PV guest's kernel counts on 512 GB of memory at most (CONFIG_XEN_512GB, on by
 * default); Xen has 128 processors for HVM and PVH guests (HVM_MAX_VCPUS).
 */
const drivers = { required: ['xen_blkfront'], wanted: ['xenfs', 'xen_privcmd', 'xen_evtchn'] } as const;
const nicDrivers = { required: ['xen_netfront'], wanted: [] } as const;
/** The Xen project's prefix. */
const MAC_PREFIX = '00:16:3e';

const shared = {
  disk: { bus: 'xen', guestName: 'xvda', drivers },
  nic: { model: 'xen-netfront', drivers: nicDrivers, macPrefix: MAC_PREFIX },
  imageKinds: ['raw', 'qcow2', 'vhd'],
  agents: { install: [], remove: OTHERS },
} as const;

const NO_XEN =
  'It starts under the Xen hypervisor alone. That its drivers are in the initramfs, and that the kernel can be found, is checked instead.';

export const xenPv: MachineTarget = {
  ...shared,
  name: 'xen-pv',
  kind: 'para',
  title: 'Xen, paravirtualized (PV)',
  // pygrub reads the boot loader's menu; no firmware runs.
  firmware: [],
  kernelOptions: ['CONFIG_XEN_PV'],
  console: 'hvc0',
  limits: {
    architectures: ['x86_64'],
    memoryBytesMax: TIB / 2,
    takesWindows: false,
  },
  bootProof: { kind: 'none', why: NO_XEN },
};

export const xenPvh: MachineTarget = {
  ...shared,
  name: 'xen-pvh',
  kind: 'para',
  title: 'Xen, PVH',
  firmware: [],
  kernelOptions: ['CONFIG_XEN_PVH'],
  console: 'hvc0',
  limits: {
    architectures: ['x86_64'],
    cpuCountMax: 128,
    takesWindows: false,
  },
  bootProof: { kind: 'none', why: NO_XEN },
};

export const xenHvm: MachineTarget = {
  ...shared,
  name: 'xen-hvm',
  kind: 'full',
  title: 'Xen, fully virtualized (HVM)',
  // The emulated IDE disk is unplugged as soon as the guest's own drivers show up.
  disk: {
    ...shared.disk,
    drivers: {
      required: ['xen_blkfront'],
      wanted: [...drivers.wanted, 'xen_platform_pci', 'ata_piix', 'ata_generic', 'sd_mod'],
    },
  },
  nic: { ...shared.nic, drivers: { required: ['xen_netfront'], wanted: ['8139cp', 'e1000'] } },
  firmware: ['bios', 'uefi'],
  kernelOptions: ['CONFIG_XEN_PVHVM'],
  console: 'ttyS0',
  limits: {
    architectures: ['x86_64', 'i686'],
    cpuCountMax: 128,
    takesWindows: true,
  },
  bootProof: {
    kind: 'qemu',
    machine: 'pc',
    cpu: 'max',
    disk: ['ide-hd,drive={drive},bus=ide.0'],
    nic: 'rtl8139',
    unproven:
      'Outside of Xen the emulated IDE disk and NIC are used, as Xen itself offers them until the paravirtualized drivers take over.',
  },
};
