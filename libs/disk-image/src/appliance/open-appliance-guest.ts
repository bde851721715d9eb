import { DiskUnusable } from '../errors';
import type { Appliance } from './appliance';
import { type CrypttabEntry, findDevice, parseCrypttab } from './find-device';
import { plain } from './machine/peer';
import { type BlockDevice, type DiskScan, LUKS_CONTENT, MOUNTABLE } from './scan';

export interface OpenApplianceGuestOptions {
  /** Tried on every encrypted device. */
  readonly keys?: readonly Buffer[];
  /** Replays journals and mends what needs no decision first: for a clone that is converted. */
  readonly mend?: boolean;
}

export interface GuestMount {
  readonly device: BlockDevice;
  readonly at: string;
  readonly subvolume?: string;
  /** Read past a journal, so that what is told may be a little old. */
  readonly needsRecovery: boolean;
}

export interface ApplianceGuest {
  readonly scan: DiskScan;
  readonly root: GuestMount;
  /** All of them, the root first. */
  readonly mounts: readonly GuestMount[];
  readonly crypttab: readonly CrypttabEntry[];
}

interface FstabMount {
  readonly spec: string;
  readonly at: string;
  readonly options: readonly string[];
}

/** Folders that inspection and conversion look into, when they are mounts of their own. */
const MOUNTS_READ = ['/usr', '/var', '/boot', '/boot/efi', '/efi'];
const NO_ROOT = ['vfat', 'iso9660'];
const CRYPT_LAYERS_MAX = 4;
const SUBVOLUMES_TRIED_MAX = 64;
/** What distributions call the subvolume of their root. */
const ROOT_SUBVOLUMES = ['@', '@rootfs', 'root', '@/.snapshots/1/snapshot'];

/**
 * Finds the installed system in an appliance and mounts it as its own fstab does; `appliance.files` are its files
 * then. Rejects with DISK_ENCRYPTED, DISK_DAMAGED, DISK_NO_OPERATING_SYSTEM or DISK_FILE_SYSTEM_UNSUPPORTED.
 */
export async function openApplianceGuest(
  appliance: Appliance,
  { keys = [], mend = false }: OpenApplianceGuestOptions = {},
): Promise<ApplianceGuest> {
  const scan = await openEncrypted(appliance, keys);
  const candidates = scan.devices.filter(
    ({ content }) => content && MOUNTABLE.includes(content.type) && !NO_ROOT.includes(content.type),
  );
  if (mend) for (const device of candidates) await mendOne(appliance, device);
  const trouble: unknown[] = [];
  for (const device of candidates) {
    try {
      const root = await mountRoot(appliance, device);
      if (root) return await mountOthers(appliance, scan, root);
    } catch (error) {
      if (!(error instanceof DiskUnusable) || error.code !== 'DISK_DAMAGED') throw error;
      trouble.push(error);
    }
    await appliance.unmount();
  }
  throw trouble[0] ?? noSystem(scan);
}

async function openEncrypted(appliance: Appliance, keys: readonly Buffer[]): Promise<DiskScan> {
  const tried = new Set<string>();
  let scan = await appliance.scan();
  for (let layer = 0; layer < CRYPT_LAYERS_MAX; layer += 1) {
    const closed = closedDevices(scan).filter(({ path }) => !tried.has(path));
    if (closed.length === 0 || keys.length === 0) return scan;
    for (const { path } of closed) {
      tried.add(path);
      await openOne(appliance, path, keys);
    }
    scan = await appliance.scan();
  }
  return scan;
}

async function openOne(appliance: Appliance, path: string, keys: readonly Buffer[]): Promise<void> {
  for (const key of keys) {
    try {
      await appliance.openLuks(path, key);
      return;
    } catch (error) {
      // Keys of other devices do not fit this one; whether the root is missing then is seen later.
      if (!(error instanceof DiskUnusable) || error.code !== 'DISK_ENCRYPTED') throw error;
    }
  }
}

function closedDevices({ devices }: DiskScan): BlockDevice[] {
  return devices.filter(
    ({ path, content }) =>
      content?.type === LUKS_CONTENT &&
      !devices.some(({ kind, parents }) => kind === 'crypt' && parents.includes(path)),
  );
}

async function mendOne(appliance: Appliance, { path, content }: BlockDevice): Promise<void> {
  const { isClean, detail } = await appliance.check(path, content?.type ?? '', { mend: true });
  if (isClean) return;
  throw new DiskUnusable(
    'DISK_DAMAGED',
    `The file system on ${path} has errors that need a decision: ${plain(detail).slice(-300)}. Check it on the server, then copy the disk again.`,
  );
}

async function mountRoot(appliance: Appliance, device: BlockDevice): Promise<GuestMount | undefined> {
  const request = { device: device.path, type: device.content?.type ?? '', at: '/' };
  const { needsRecovery } = await appliance.mount(request);
  if (await hasSystem(appliance)) return { device, at: '/', needsRecovery };
  if (request.type !== 'btrfs') return undefined;
  const { paths } = await appliance.subvolumes();
  const known = ROOT_SUBVOLUMES.filter((path) => paths.includes(path));
  for (const subvolume of new Set([...known, ...paths.slice(0, SUBVOLUMES_TRIED_MAX)])) {
    await appliance.unmount();
    const mounted = await appliance.mount({ ...request, subvolume });
    if (await hasSystem(appliance)) return { device, at: '/', subvolume, ...pick(mounted) };
  }
  return undefined;
}

async function hasSystem({ files }: Appliance): Promise<boolean> {
  if ((await files.find('/etc'))?.entry.kind !== 'directory') return false;
  return Boolean((await files.find('/etc/os-release')) ?? (await files.find('/etc/fstab')));
}

async function mountOthers(appliance: Appliance, scan: DiskScan, root: GuestMount): Promise<ApplianceGuest> {
  const { files } = appliance;
  const crypttab = parseCrypttab((await files.readText('/etc/crypttab')) ?? '');
  const wanted = parseMounts((await files.readText('/etc/fstab')) ?? '');
  const mounts = [root];
  for (const at of MOUNTS_READ) {
    const entry = wanted.find((one) => one.at === at);
    if (!entry) continue;
    const device = findDevice(scan, entry.spec, crypttab);
    const type = device?.content?.type ?? '';
    if (!device || !MOUNTABLE.includes(type)) {
      if (entry.options.includes('nofail') || entry.options.includes('noauto')) continue;
      throw notThere(entry, type);
    }
    const subvolume = subvolumeOf(entry.options);
    const named = type === 'btrfs' && subvolume !== undefined ? { subvolume } : {};
    const mounted = await appliance.mount({ device: device.path, type, at, ...named });
    mounts.push({ device, at, ...named, ...pick(mounted) });
  }
  return { scan, root, mounts, crypttab };
}

function parseMounts(fstab: string): FstabMount[] {
  return fstab.split('\n').flatMap((line) => {
    const [spec, at, type, options = ''] = line.trim().split(/\s+/);
    if (!spec || spec.startsWith('#') || !at || !type) return [];
    return [{ spec, at: at.length > 1 ? at.replace(/\/+$/, '') : at, options: options.split(',') }];
  });
}

function subvolumeOf(options: readonly string[]): string | undefined {
  const option = options.find((one) => one.startsWith('subvol='));
  return option?.slice('subvol='.length).replace(/^\/+/, '');
}

function pick({ needsRecovery }: { needsRecovery: boolean }): { needsRecovery: boolean } {
  return { needsRecovery };
}

function notThere({ at, spec }: FstabMount, type: string): DiskUnusable {
  const what = type === '' ? 'is not on the disks that were given' : `holds ${type}, which cannot be mounted`;
  return new DiskUnusable(
    'DISK_FILE_SYSTEM_UNSUPPORTED',
    `${plain(at)} of the server (${plain(spec)}) ${what}. Give all of the server's disks.`,
  );
}

function noSystem(scan: DiskScan): DiskUnusable {
  const [closed] = closedDevices(scan);
  if (closed)
    return new DiskUnusable(
      'DISK_ENCRYPTED',
      `${closed.path} is encrypted (LUKS), and no key that was given opens it. Give the passphrase that unlocks it on the server.`,
    );
  const found = scan.devices.flatMap(({ path, content }) =>
    content ? [`${path}: ${plain(content.type)}`] : [],
  );
  const problems = scan.problems.length > 0 ? ` ${plain(scan.problems.join(' ')).slice(0, 600)}` : '';
  return new DiskUnusable(
    'DISK_NO_OPERATING_SYSTEM',
    `No installed system was found on the disk (${found.slice(0, 8).join(', ') || 'it holds nothing that is known'}).${problems} Give the disk that the server starts from.`,
  );
}
