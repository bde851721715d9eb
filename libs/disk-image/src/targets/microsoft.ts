import type { AgentOwner, MachineTarget } from './target';

const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const OTHERS: readonly AgentOwner[] = ['qemu', 'vmware', 'xen', 'virtualbox', 'parallels'];
/** Microsoft's prefix for dynamic addresses of Hyper-V. */
const HYPERV_MAC_PREFIX = '00:15:5d';

/** The kernel's drivers/hv, drivers/scsi/storvsc_drv.c (hv_storvsc) and drivers/net/hyperv (hv_netvsc). */
const vmbusDisk = {
  required: ['hv_vmbus', 'hv_storvsc', 'sd_mod'],
  wanted: ['hv_utils', 'hv_balloon'],
} as const;
const vmbusNic = { required: ['hv_vmbus', 'hv_netvsc'], wanted: ['tulip'] } as const;
const hypervAgents = { install: ['hyperv-daemons'], remove: OTHERS } as const;

/*
 * Microsoft Learn, "Plan for Hyper-V scalability in Windows Server": generation 1 has 64 virtual CPUs and 1 TB of
 * memory, generation 2 of Windows Server 2022 has 1024 and 12 TB; 8 NICs of
 * VMBus each, and 4 legacy ones in generation 1. "Should I create a
 * generation 1 or 2 virtual machine": boot volumes of generation 1 have 2 TB (VHDX) or 2040 GB (VHD), those of
 * generation 2 64 TB; generation 1 boots by BIOS from IDE, generation 2 by UEFI from SCSI, and only guests of 64
 * bits on VHDX.
 */
export const hypervGen1: MachineTarget = {
  name: 'hyperv-gen1',
  kind: 'para',
  title: 'Hyper-V, generation 1',
  // It boots from IDE; the kernel's driver then takes the same disk over through VMBus, as sda.
  disk: {
    bus: 'ide',
    guestName: 'sda',
    drivers: { ...vmbusDisk, wanted: [...vmbusDisk.wanted, 'ata_piix', 'ata_generic'] },
  },
  nic: { model: 'netvsc', drivers: vmbusNic, macPrefix: HYPERV_MAC_PREFIX },
  firmware: ['bios'],
  kernelOptions: [],
  console: 'ttyS0',
  imageKinds: ['vhdx', 'vhd', 'vhd-fixed'],
  limits: {
    architectures: ['x86_64', 'i686'],
    virtualBytesMax: 2 * TIB,
    // 4 of IDE, one of which is the DVD drive's, and 64 on each of 4 SCSI controllers.
    diskCountMax: 259,
    nicCountMax: 12,
    cpuCountMax: 64,
    memoryBytesMax: TIB,
    takesWindows: true,
  },
  agents: hypervAgents,
  bootProof: {
    kind: 'qemu',
    machine: 'pc',
    cpu: 'max',
    disk: ['ide-hd,drive={drive},bus=ide.0'],
    nic: 'tulip',
    unproven:
      'QEMU has no disks and NICs on VMBus: the boot goes by IDE and the legacy adapter, as it also does on Hyper-V where the drivers of VMBus are missing.',
  },
};

export const hypervGen2: MachineTarget = {
  name: 'hyperv-gen2',
  kind: 'para',
  title: 'Hyper-V, generation 2',
  disk: {
    bus: 'vmbus',
    guestName: 'sda',
    drivers: {
      ...vmbusDisk,
      wanted: [...vmbusDisk.wanted, 'hyperv_keyboard', 'hid_hyperv', 'hyperv_fb', 'hyperv_drm'],
    },
  },
  nic: { model: 'netvsc', drivers: { ...vmbusNic, wanted: [] }, macPrefix: HYPERV_MAC_PREFIX },
  firmware: ['uefi'],
  kernelOptions: [],
  console: 'ttyS0',
  imageKinds: ['vhdx'],
  limits: {
    architectures: ['x86_64'],
    virtualBytesMax: 64 * TIB,
    diskCountMax: 256,
    nicCountMax: 8,
    cpuCountMax: 1024,
    memoryBytesMax: 12 * TIB,
    takesWindows: true,
  },
  agents: hypervAgents,
  bootProof: {
    kind: 'none',
    why: 'It has no disk but on VMBus, which QEMU does not have. That hv_vmbus and hv_storvsc are in the initramfs is checked instead.',
  },
};

/*
 * Microsoft, "Emulated hardware devices in Microsoft Virtual Server 2005" (867587), "Emulated hardware" (cc720375)
 * and "Virtual machines in Virtual Server" (cc708270): AMI BIOS, Intel 440BX with PIIX4, DEC 21140, four network
 * connections, one processor, 3.6 GB of memory; IDE disks of up to 127 GB. Its guests are of 32 bits: it has no
 * long mode for them. Extended support ended on 2015-01-13.
 */
export const virtualServer2005: MachineTarget = {
  name: 'virtual-server-2005',
  kind: 'full',
  title: 'Microsoft Virtual Server 2005',
  disk: {
    bus: 'ide',
    guestName: 'sda',
    drivers: { required: ['ata_piix', 'sd_mod'], wanted: ['ata_generic', 'pata_acpi'] },
  },
  nic: {
    model: 'tulip',
    drivers: { required: ['tulip'], wanted: [] },
    // Connectix's, which Virtual PC and Virtual Server give.
    macPrefix: '00:03:ff',
  },
  firmware: ['bios'],
  kernelOptions: [],
  console: 'ttyS0',
  imageKinds: ['vhd-geometry'],
  limits: {
    architectures: ['i686'],
    virtualBytesMax: 127 * GIB,
    diskCountMax: 4,
    nicCountMax: 4,
    cpuCountMax: 1,
    memoryBytesMax: Math.floor(3.6 * GIB),
    takesWindows: true,
  },
  agents: { install: [], remove: [...OTHERS, 'hyperv'] },
  bootProof: {
    kind: 'qemu',
    machine: 'pc',
    // What a host of 2005 had, and without long mode.
    cpu: 'pentium3',
    disk: ['ide-hd,drive={drive},bus=ide.0'],
    nic: 'tulip',
  },
};
