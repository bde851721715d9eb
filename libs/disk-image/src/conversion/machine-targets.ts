/** Virtual machines that a disk can be converted for. Those without a loader of their own need more than a disk. */
export const MACHINE_TARGET_NAMES = [
  'kvm-virtio',
  'kvm-virtio-scsi',
  'vmware-pvscsi',
  'vmware-lsi',
  'hyperv-gen1',
  'hyperv-gen2',
  'virtual-server-2005',
  'xen-hvm',
] as const;
export type MachineTargetName = (typeof MACHINE_TARGET_NAMES)[number];
