/** Drivers of a KVM guest's virtual hardware. */
export interface VirtioDriver {
  readonly name: string;
  /** Without it the guest does not reach its disk. */
  readonly isRequired: boolean;
  /** Named in the guest's own settings, too. The rest comes along with these. */
  readonly isLasting: boolean;
}

export const DRIVERS: readonly VirtioDriver[] = [
  { name: 'virtio', isRequired: false, isLasting: false },
  { name: 'virtio_ring', isRequired: false, isLasting: false },
  { name: 'virtio_pci_legacy_dev', isRequired: false, isLasting: false },
  { name: 'virtio_pci_modern_dev', isRequired: false, isLasting: false },
  { name: 'virtio_pci', isRequired: true, isLasting: true },
  { name: 'virtio_blk', isRequired: true, isLasting: true },
  { name: 'sd_mod', isRequired: false, isLasting: false },
  { name: 'virtio_scsi', isRequired: false, isLasting: true },
  { name: 'virtio_net', isRequired: false, isLasting: true },
];
