import type { AgentOwner, MachineTarget } from './target';

const TIB = 1024 ** 4;
const OTHERS: readonly AgentOwner[] = ['qemu', 'hyperv', 'xen', 'virtualbox', 'parallels'];

/*
 * Limits: VMware, "Configuration Maximums", vSphere 8.0: 768 virtual CPUs, 24 TB of memory, disks of 62 TB, 4 SCSI
 * adapters, 10 NICs. Controllers and NICs: VMware, "Virtual Machine Administration", "SCSI, SATA, and NVMe Storage
 * Controller Conditions" and "Network Adapter Types"; their drivers: the kernel's drivers/scsi/vmw_pvscsi,
 * drivers/message/fusion, drivers/net/{vmxnet3,ethernet/intel/e1000e}.
 */
const shared = {
  firmware: ['bios', 'uefi'],
  kernelOptions: [],
  console: 'ttyS0',
  imageKinds: ['ova', 'vmdk-stream', 'vmdk-flat', 'vmdk', 'vmdk-split', 'vmdk-split-flat'],
  // What a descriptor says of pvscsi and LSI SAS controllers alike.
  vmdkAdapter: 'lsilogic',
  agents: { install: ['open-vm-tools'], remove: OTHERS },
} as const;
const limits = {
  architectures: ['x86_64', 'i686'],
  virtualBytesMax: 62 * TIB,
  nicCountMax: 10,
  cpuCountMax: 768,
  memoryBytesMax: 24 * TIB,
  takesWindows: true,
} as const;
/** The prefix that VMware's own addresses set by hand have, 00:50:56:00 to 00:50:56:3f. */
const MAC_PREFIX = '00:50:56';

export const vmwarePvscsi: MachineTarget = {
  ...shared,
  name: 'vmware-pvscsi',
  kind: 'para',
  title: 'VMware with pvscsi and vmxnet3',
  disk: {
    bus: 'pvscsi',
    guestName: 'sda',
    drivers: { required: ['vmw_pvscsi', 'sd_mod'], wanted: ['vmw_vmci', 'vmw_balloon', 'mptsas'] },
  },
  nic: { model: 'vmxnet3', drivers: { required: ['vmxnet3'], wanted: ['e1000e'] }, macPrefix: MAC_PREFIX },
  // 64 disks on each of 4 adapters, vSphere 6.7 and later.
  limits: { ...limits, diskCountMax: 256 },
  bootProof: {
    kind: 'qemu',
    machine: 'pc',
    cpu: 'max',
    disk: ['pvscsi,id=scsi0', 'scsi-hd,drive={drive},bus=scsi0.0'],
    nic: 'vmxnet3',
  },
};

export const vmwareLsi: MachineTarget = {
  ...shared,
  name: 'vmware-lsi',
  kind: 'full',
  title: 'VMware with LSI Logic SAS and e1000e',
  disk: {
    bus: 'lsi-sas',
    guestName: 'sda',
    drivers: {
      required: ['mptsas', 'sd_mod'],
      wanted: ['mptbase', 'mptscsih', 'scsi_transport_sas', 'mptspi', 'vmw_pvscsi'],
    },
  },
  nic: { model: 'e1000e', drivers: { required: ['e1000e'], wanted: ['vmxnet3'] }, macPrefix: MAC_PREFIX },
  // 15 disks on each of 4 adapters.
  limits: { ...limits, diskCountMax: 60 },
  bootProof: {
    kind: 'qemu',
    machine: 'pc',
    cpu: 'max',
    // The kernel's driver passes a disk over that has no SAS address, which QEMU does not give by itself.
    disk: ['mptsas1068,id=scsi0', 'scsi-hd,drive={drive},bus=scsi0.0,wwn=0x5000c50015ea71ad'],
    nic: 'e1000e',
  },
};
