import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAYOUT, SERVER } from './server';
import { serverFiles } from './server-files';

/** The packages that a bare Debian is made of; apt adds what they depend on. */
export const BASE_PACKAGES: readonly string[] = ['?essential', 'usr-is-merged'];

/** What makes it a server: kernel, boot loader, init, network, and the interpreter of its service. */
export const SERVER_PACKAGES: readonly string[] = [
  'apt',
  'busybox',
  'dbus',
  'e2fsprogs',
  'grub-pc',
  'ifupdown',
  'initramfs-tools',
  'iproute2',
  'iputils-ping',
  'kmod',
  'linux-image-amd64',
  'netbase',
  'procps',
  'python3-minimal',
  'systemd-sysv',
  'udev',
  'zstd',
];

/** Remembers the owners of files for a user who cannot give files away. */
export const BUILDING_PACKAGES: readonly string[] = ['fakeroot'];

/** A change of how the disk is made that no other part of the recipe shows. */
const RECIPE_VERSION = 1;

const ASSETS = join(__dirname, '..', 'assets');

export const SCRIPT_NAMES = [
  'unpack.sh',
  'enter.sh',
  'install-packages.sh',
  'prepare-boot.sh',
  'make-file-system.sh',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];
export type AssetName = ScriptName | 'ledger.py';

export async function readAsset(name: AssetName): Promise<string> {
  return readFile(join(ASSETS, name), 'utf8');
}

/** Names the disk by all that it is made from, but for the packages' versions: a cached disk stays as it is. */
export async function recipeHash(codename: string): Promise<string> {
  const assets = await Promise.all([...SCRIPT_NAMES, 'ledger.py' as const].map(readAsset));
  const files = serverFiles({ codename, aptSources: '', machineId: '', kernelRelease: '' });
  const recipe = { RECIPE_VERSION, codename, SERVER, LAYOUT, BASE_PACKAGES, SERVER_PACKAGES, assets, files };
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 16);
}
