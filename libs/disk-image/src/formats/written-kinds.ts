import type { ImageFormat, ImageSubformat } from './image-format';

/**
 * The kinds of images that are written. Names are ours: one per kind that somebody would ask for, so that no
 * sub-options are needed.
 */
export const WRITTEN_KIND_NAMES = [
  'raw',
  'qcow2',
  'vmdk',
  'vmdk-flat',
  'vmdk-split',
  'vmdk-split-flat',
  'vmdk-stream',
  'vhd',
  'vhd-fixed',
  'vhd-geometry',
  'vhdx',
  'parallels',
  'ploop',
  'ova',
] as const;
export type WrittenKindName = (typeof WRITTEN_KIND_NAMES)[number];

export interface WrittenKind {
  /** What it is for, in a few words. */
  readonly summary: string;
  /** What files of this kind are called, without the dot; none for a folder. */
  readonly suffix: string;
  readonly format: ImageFormat;
  readonly subformat: ImageSubformat;
  /** How qemu-img is asked for it; absent where we write it ourselves. */
  readonly qemu?: { readonly format: string; readonly options: readonly string[] };
  /** The disk grows to a multiple of this: what the platform takes. */
  readonly roundedToBytes: number;
  readonly virtualBytesMax: number;
  /** The adapter that the descriptor names can be chosen. */
  readonly namesAdapter: boolean;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;

/** VMware, "Configuration Maximums": a disk of 62 TB. */
const VMDK_BYTES_MAX = 62 * TIB;
/** Microsoft: 2040 GB, where the 32 bits of a block's sector end. */
const VHD_BYTES_MAX = 2040 * GIB;

/** Sectors of a hosted sparse extent are numbered by 32 bits. */
const STREAM_BYTES_MAX = 2 * TIB;

const plain = { roundedToBytes: 512, namesAdapter: false } as const;

const vmdk = (subformat: ImageSubformat, summary: string): WrittenKind => ({
  summary,
  suffix: 'vmdk',
  format: 'vmdk',
  subformat,
  qemu: { format: 'vmdk', options: [`subformat=${subformat}`] },
  roundedToBytes: 512,
  virtualBytesMax: VMDK_BYTES_MAX,
  namesAdapter: true,
});

export const WRITTEN_KINDS: Readonly<Record<WrittenKindName, WrittenKind>> = {
  raw: {
    ...plain,
    summary: 'the bytes of the disk, zeros as holes',
    suffix: 'raw',
    format: 'raw',
    subformat: 'raw',
    qemu: { format: 'raw', options: [] },
    virtualBytesMax: 64 * TIB,
  },
  qcow2: {
    ...plain,
    summary: 'QEMU, KVM, Proxmox, OpenStack',
    suffix: 'qcow2',
    format: 'qcow2',
    subformat: 'qcow2',
    qemu: { format: 'qcow2', options: ['compat=1.1', 'lazy_refcounts=off'] },
    virtualBytesMax: 64 * TIB,
  },
  vmdk: vmdk('monolithicSparse', 'VMware Workstation and Fusion, VirtualBox: one file that grows'),
  'vmdk-flat': vmdk('monolithicFlat', 'VMware ESXi datastores: a descriptor and the bytes of the disk'),
  'vmdk-split': vmdk('twoGbMaxExtentSparse', 'VMware Workstation: files of 2 GB that grow'),
  'vmdk-split-flat': vmdk('twoGbMaxExtentFlat', 'VMware Workstation: files of 2 GB'),
  'vmdk-stream': {
    ...plain,
    summary: 'upload to VMware: one compressed file',
    suffix: 'vmdk',
    format: 'vmdk',
    subformat: 'streamOptimized',
    virtualBytesMax: STREAM_BYTES_MAX,
    namesAdapter: true,
  },
  // Azure takes whole MiB alone; without force_size the size would be what cylinders and heads make of it.
  vhd: {
    ...plain,
    summary: 'Hyper-V generation 1: one file that grows',
    suffix: 'vhd',
    format: 'vhd',
    subformat: 'dynamic',
    qemu: { format: 'vpc', options: ['subformat=dynamic', 'force_size=on'] },
    roundedToBytes: MIB,
    virtualBytesMax: VHD_BYTES_MAX,
  },
  'vhd-fixed': {
    ...plain,
    summary: 'Azure, Hyper-V generation 1: the bytes of the disk and a footer',
    suffix: 'vhd',
    format: 'vhd',
    subformat: 'fixed',
    qemu: { format: 'vpc', options: ['subformat=fixed', 'force_size=on'] },
    roundedToBytes: MIB,
    virtualBytesMax: VHD_BYTES_MAX,
  },
  // What goes by cylinders and heads alone sees no sector beyond them: the size is rounded up to whole ones.
  'vhd-geometry': {
    ...plain,
    summary: 'Virtual Server 2005, Virtual PC: one file that grows, sized by its geometry',
    suffix: 'vhd',
    format: 'vhd',
    subformat: 'dynamic',
    qemu: { format: 'vpc', options: ['subformat=dynamic', 'force_size=off'] },
    virtualBytesMax: 127 * GIB,
  },
  vhdx: {
    ...plain,
    summary: 'Hyper-V: one file that grows',
    suffix: 'vhdx',
    format: 'vhdx',
    subformat: 'dynamic',
    qemu: { format: 'vhdx', options: ['subformat=dynamic'] },
    roundedToBytes: MIB,
    virtualBytesMax: 64 * TIB,
  },
  parallels: {
    ...plain,
    summary: 'Parallels: one file that grows',
    suffix: 'hdd',
    format: 'parallels',
    subformat: 'WithouFreSpacExt',
    qemu: { format: 'parallels', options: [`cluster_size=${MIB}`] },
    virtualBytesMax: 16 * TIB,
  },
  ploop: {
    ...plain,
    summary: 'Virtuozzo, OpenVZ: a folder with a descriptor and an image that grows',
    suffix: '',
    format: 'ploop',
    subformat: 'expanded',
    qemu: { format: 'parallels', options: [`cluster_size=${MIB}`] },
    virtualBytesMax: 16 * TIB,
  },
  ova: {
    ...plain,
    summary: 'VMware, VirtualBox: an archive with a description of the machine and a compressed disk',
    suffix: 'ova',
    format: 'ova',
    subformat: 'vmdk',
    virtualBytesMax: STREAM_BYTES_MAX,
    namesAdapter: true,
  },
};
