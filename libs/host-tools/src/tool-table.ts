/** Packages that are fetched together, into one folder of the cache. */
export type ToolSet = 'qemu' | 'file-systems' | 'image-building';

export interface ToolEntry {
  readonly set: ToolSet;
  /** Below an unpacked root, or of the system. */
  readonly paths: readonly string[];
  readonly versionArgs?: readonly string[];
  readonly versionPattern?: RegExp;
  /** A system program below this is passed over. */
  readonly versionMin?: string;
}

const QEMU_VERSION = { versionArgs: ['--version'], versionPattern: /version (\d+\.\d+\.\d+)/ };
/**
 * Debian 12's own QEMU 7.2 loses writes of a guest that migrates under software emulation; 9 and later do not.
 * Nothing older is used, so that a guest never moves between an old one and a new one.
 */
export const QEMU_VERSION_MIN = '9.0.0';

const program = (set: ToolSet, name: string, more: Partial<ToolEntry> = {}): ToolEntry => ({
  set,
  paths: [`/usr/bin/${name}`, `/usr/sbin/${name}`, `/sbin/${name}`, `/bin/${name}`],
  ...more,
});

export const TOOLS = {
  'qemu-system-x86_64': program('qemu', 'qemu-system-x86_64', {
    ...QEMU_VERSION,
    versionMin: QEMU_VERSION_MIN,
  }),
  'qemu-img': program('qemu', 'qemu-img', { ...QEMU_VERSION, versionMin: QEMU_VERSION_MIN }),
  debugfs: program('file-systems', 'debugfs'),
  e2fsck: program('file-systems', 'e2fsck'),
  mke2fs: program('file-systems', 'mke2fs'),
  dumpe2fs: program('file-systems', 'dumpe2fs'),
  xz: program('file-systems', 'xz'),
  zstd: program('file-systems', 'zstd'),
  sfdisk: program('image-building', 'sfdisk'),
  mmdebstrap: program('image-building', 'mmdebstrap'),
  'grub-mkimage': program('image-building', 'grub-mkimage'),
} as const satisfies Record<string, ToolEntry>;

export type ToolName = keyof typeof TOOLS;

export const PACKAGES: Readonly<Record<ToolSet, readonly string[]>> = {
  qemu: ['qemu-system-x86', 'qemu-utils'],
  'file-systems': ['e2fsprogs', 'xz-utils', 'zstd'],
  'image-building': ['fdisk', 'mmdebstrap', 'grub-common', 'grub-pc-bin'],
};

/** Folders that packages bring and programs are pointed at. */
export const FOLDERS = {
  'grub-i386-pc': { set: 'image-building', path: '/usr/lib/grub/i386-pc' },
} as const satisfies Record<string, { set: ToolSet; path: string }>;

export type FolderName = keyof typeof FOLDERS;

/** Sets whose packages come from the release's backports where the release's own are too old. */
export const FROM_BACKPORTS: Readonly<Record<string, readonly ToolSet[]>> = { bookworm: ['qemu'] };

/** Compares dotted versions by number; undefined is older than anything. */
export function isAtLeast(version: string | undefined, min: string): boolean {
  if (version === undefined) return false;
  const [have, want] = [version, min].map((text) => text.split('.').map(Number));
  for (let index = 0; index < (want?.length ?? 0); index += 1) {
    const difference = (have?.[index] ?? 0) - (want?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
