import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../../errors';
import type { GuestReader } from '../../guest/guest-files';
import { isCpioAt, readCpio } from '../../initramfs/cpio';
import { type Initramfs, compressionAt, isMergedUsr, readInitramfs } from '../../initramfs/initramfs';

/** What can be taken by the kernel, and so be followed by another archive. */
export type InitramfsCompression = 'none' | 'gzip' | 'zstd' | 'xz' | 'lz4' | 'bzip2' | 'lzma' | 'lzo';

export type InitramfsMaker = 'initramfs-tools' | 'dracut';

export interface ExaminedInitramfs {
  readonly compression: InitramfsCompression;
  readonly maker: InitramfsMaker;
  readonly isMergedUsr: boolean;
  /** What is in it; undefined where nothing here unpacks it, and what the guest has must do. */
  readonly files?: Initramfs['files'];
}

const PARTS_MAX = 32;
/** Magic numbers as the kernel's own table has them (lib/decompress.c). */
const MORE_MAGIC: readonly (readonly [string, InitramfsCompression])[] = [
  ['425a68', 'bzip2'],
  ['5d0000', 'lzma'],
  ['894c5a', 'lzo'],
];

/** Programs that make an initramfs which takes no drivers in the ways known here; the file that only theirs has. */
const OTHER_MAKERS: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  { name: 'mkinitcpio', pattern: /^init_functions$|^usr\/lib\/initcpio\// },
  { name: "SUSE's mkinitrd", pattern: /^run_all\.sh$|^mkinitrd\.config$/ },
  { name: 'booster', pattern: /^etc\/booster\.init\.yaml$/ },
  { name: 'live-boot', pattern: /^(usr\/)?lib\/live\/boot\// },
  { name: 'casper', pattern: /^scripts\/casper$/ },
  { name: 'genkernel', pattern: /^etc\/initrd\.scripts$/ },
];

/** How the main part is packed, behind parts that are not (microcode); undefined where that is not known. */
export function mainCompression(image: Buffer): InitramfsCompression | undefined {
  let at = 0;
  let seen: InitramfsCompression | undefined;
  for (let part = 0; part < PARTS_MAX; part++) {
    while (at < image.length && image[at] === 0) at += 1;
    if (at >= image.length) return seen;
    if (!isCpioAt(image, at)) {
      const magic = image.toString('hex', at, at + 3);
      return compressionAt(image, at) ?? MORE_MAGIC.find(([bytes]) => bytes === magic)?.[1];
    }
    seen = 'none';
    const { end } = readCpio(image, at);
    if (end <= at) return undefined;
    at = end;
  }
  return undefined;
}

/**
 * Says how drivers get into an initramfs. Throws DISK_INITRAMFS_UNSUPPORTED for one that is damaged, packed in an
 * unknown way, or made by a program that takes none; `path` is for the message.
 */
export async function examineInitramfs(
  image: Buffer,
  path: string,
  guest: GuestReader,
  tools: HostTools,
  signal?: AbortSignal,
): Promise<ExaminedInitramfs> {
  const compression = mainCompression(image);
  if (compression === undefined)
    throw unsupported(
      path,
      'is packed in a way that is not known (gzip, zstd, xz, lz4, bzip2, lzma, lzo and none are), or cut off',
    );
  if (compression === 'bzip2' || compression === 'lzma' || compression === 'lzo')
    return { compression, maker: await makerByGuest(path, guest), isMergedUsr: await isGuestMerged(guest) };

  const initramfs = await readInitramfs(image, tools, signal);
  if (!initramfs) throw unsupported(path, `is damaged: what is packed by ${compression} does not unpack`);
  const { files, maker } = initramfs;
  if (maker === undefined) throw unsupported(path, otherMaker([...files.keys()]));
  return { compression, maker, isMergedUsr: isMergedUsr(initramfs), files };
}

function otherMaker(names: readonly string[]): string {
  const other = OTHER_MAKERS.find(({ pattern }) => names.some((name) => pattern.test(name)));
  const known = other ? `was made by ${other.name}, which takes no further drivers` : undefined;
  return known ?? 'was made neither by initramfs-tools nor by dracut';
}

/** By the program that the guest makes its next one with. */
async function makerByGuest(path: string, guest: GuestReader): Promise<InitramfsMaker> {
  const makers: [InitramfsMaker, string[]][] = [
    ['dracut', ['/usr/bin/dracut', '/sbin/dracut', '/usr/sbin/dracut']],
    ['initramfs-tools', ['/usr/sbin/mkinitramfs', '/sbin/mkinitramfs']],
  ];
  for (const [maker, programs] of makers)
    for (const program of programs) if (await guest.find(program)) return maker;
  throw unsupported(path, 'cannot be looked into, and the guest has neither initramfs-tools nor dracut');
}

/** What makes an initramfs takes over whether `/lib` is a link. */
async function isGuestMerged(guest: GuestReader): Promise<boolean> {
  return (await guest.find('/lib'))?.path === '/usr/lib';
}

/** Paths of modules in an initramfs. */
export function modulesInside(initramfs: ExaminedInitramfs | undefined): string[] {
  const names = [...(initramfs?.files?.keys() ?? [])];
  return names.filter((path) => /\/modules\/[^/]+\/.+\.ko(\.\w+)?$/.test(path));
}

export function unsupported(path: string, what: string): DiskUnusable {
  return new DiskUnusable(
    'DISK_INITRAMFS_UNSUPPORTED',
    `${path} ${what}. Make it anew on the server ("update-initramfs -u" or "dracut -f"), then copy the disk again.`,
  );
}
