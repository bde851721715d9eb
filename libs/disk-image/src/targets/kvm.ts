import type { AgentOwner, BootProof, MachineTarget } from './target';

/*
 * Device and driver names: QEMU 10's own list (`-device help`) and the kernel's drivers/{block,scsi,net,virtio}.
 * Conversions for both were booted in tests of this package and of its research.
 */
const OTHERS: readonly AgentOwner[] = ['vmware', 'hyperv', 'xen', 'virtualbox', 'parallels'];

const proof = (disk: readonly string[]): BootProof => ({
  kind: 'qemu',
  machine: 'q35',
  cpu: 'max',
  disk,
  nic: 'virtio-net-pci',
});

const shared = {
  kind: 'para',
  nic: {
    model: 'virtio-net',
    drivers: { required: ['virtio_pci', 'virtio_net'], wanted: ['virtio_ring', 'net_failover'] },
    // The locally administered prefix that QEMU and libvirt use.
    macPrefix: '52:54:00',
  },
  firmware: ['bios', 'uefi'],
  kernelOptions: [],
  console: 'ttyS0',
  imageKinds: ['qcow2', 'raw'],
  limits: { architectures: ['x86_64', 'i686'], takesWindows: true },
  agents: { install: ['qemu-guest-agent'], remove: OTHERS },
} as const;

export const kvmVirtio: MachineTarget = {
  ...shared,
  name: 'kvm-virtio',
  title: 'KVM with virtio-blk and virtio-net',
  disk: {
    bus: 'virtio-blk',
    guestName: 'vda',
    drivers: {
      required: ['virtio_pci', 'virtio_blk'],
      wanted: [
        'virtio',
        'virtio_ring',
        'virtio_pci_legacy_dev',
        'virtio_pci_modern_dev',
        'virtio_scsi',
        'sd_mod',
      ],
    },
  },
  bootProof: proof(['virtio-blk-pci,drive={drive}']),
};

export const kvmVirtioScsi: MachineTarget = {
  ...shared,
  name: 'kvm-virtio-scsi',
  title: 'KVM with virtio-scsi and virtio-net',
  disk: {
    bus: 'virtio-scsi',
    guestName: 'sda',
    drivers: {
      required: ['virtio_pci', 'virtio_scsi', 'sd_mod'],
      wanted: ['virtio', 'virtio_ring', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_blk'],
    },
  },
  bootProof: proof(['virtio-scsi-pci,id=scsi0', 'scsi-hd,drive={drive},bus=scsi0.0']),
};
