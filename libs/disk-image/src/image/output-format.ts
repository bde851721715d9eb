/**
 * The kinds of images that are written, and how qemu-img is asked for each. Names are ours: one per kind that
 * somebody would ask for, so that no sub-options are needed.
 */
export const OUTPUT_FORMATS = ['raw', 'qcow2'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export interface OutputKind {
  /** What it is for, in a few words. */
  readonly summary: string;
  /** What files of this kind are called, without the dot. */
  readonly suffix: string;
  /** The name of the format for qemu-img, and its `-o` options. */
  readonly qemuFormat: string;
  readonly qemuOptions: readonly string[];
}

export const OUTPUT_KINDS: Readonly<Record<OutputFormat, OutputKind>> = {
  raw: {
    summary: 'the bytes of the disk, zeros as holes',
    suffix: 'raw',
    qemuFormat: 'raw',
    qemuOptions: [],
  },
  qcow2: {
    summary: 'QEMU, KVM, Proxmox, OpenStack',
    suffix: 'qcow2',
    qemuFormat: 'qcow2',
    qemuOptions: ['compat=1.1', 'lazy_refcounts=off'],
  },
};
