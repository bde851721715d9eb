/** Formats of disk images, by the names that people call them; `vhd` is what qemu-img calls `vpc`. */
export const IMAGE_FORMATS = ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'parallels', 'ploop', 'ova'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** How an image of a format is laid out. */
export interface SubformatOf {
  readonly raw: 'raw';
  readonly qcow2: 'qcow2';
  readonly vmdk:
    | 'monolithicSparse'
    | 'monolithicFlat'
    | 'twoGbMaxExtentSparse'
    | 'twoGbMaxExtentFlat'
    | 'streamOptimized'
    | 'vmfs';
  readonly vhd: 'fixed' | 'dynamic';
  readonly vhdx: 'fixed' | 'dynamic';
  readonly parallels: 'WithoutFreeSpace' | 'WithouFreSpacExt';
  readonly ploop: 'expanded' | 'plain';
  readonly ova: 'vmdk' | 'vmdk-gzip';
}

export type ImageSubformat = SubformatOf[ImageFormat];

/** A file of an image, and what it is for. */
export interface ImageFile {
  readonly path: string;
  readonly role: 'disk' | 'descriptor' | 'extent' | 'archive';
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  readonly modifiedAtMs: number;
}

/** Where the bytes of a disk are, as far as a reader has to be told. */
export type ImageContent =
  /** One file that qemu-img reads by itself. */
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly qemuFormat: 'raw' | 'qcow2' | 'vpc' | 'vhdx' | 'parallels';
    }
  /** The disk as it is, in a part of a file. */
  | { readonly kind: 'slice'; readonly path: string; readonly offset: number; readonly lengthBytes: number }
  /** VMDK extents, one after the other. */
  | { readonly kind: 'extents'; readonly extents: readonly ExtentContent[] }
  /** A VMDK of one file that is only read as such, by itself or in a part of an archive. */
  | {
      readonly kind: 'single-vmdk';
      readonly path: string;
      readonly offset: number;
      readonly lengthBytes: number;
      readonly isGzipped: boolean;
    };

export interface ExtentContent {
  readonly type: 'sparse' | 'flat' | 'zero';
  readonly sectors: number;
  /** None for zeros. */
  readonly path?: string;
  readonly offsetSectors: number;
}

/** What an image is; found by reading its headers and tables, none of its data. */
export interface ImageExamination {
  readonly format: ImageFormat;
  readonly subformat: ImageSubformat;
  /** Whether the caller said the format, or the first bytes did. */
  readonly formatBy: 'caller' | 'content';
  /** Size of the disk. */
  readonly virtualBytes: number;
  /** All files that belong to the image, the one that was named first. */
  readonly files: readonly ImageFile[];
  readonly content: ImageContent;
  /** What an archive says of its files' digests: checked, left alone as asked, or that it says nothing. */
  readonly digests?: 'checked' | 'skipped' | 'none';
}

/** What a format's own examination tells. */
export type Examined = Omit<ImageExamination, 'format' | 'formatBy'>;
