import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import { FolderInUse, FolderLock } from '@watari/process-identity';
import { openChamber } from './chamber';
import { PhysicalServerError } from './errors';
import { installRoot } from './install-root';
import { readManifest, writeManifest } from './manifest';
import { debianRelease, fetchPackages } from './package-archive';
import { type ProgressListener, ProgressReporter } from './progress';
import { BASE_PACKAGES, BUILDING_PACKAGES, SERVER_PACKAGES, recipeHash } from './recipe';
import { SERVER } from './server';
import { writeDisk } from './write-disk';

export interface PhysicalServerHardware {
  readonly firmware: 'bios';
  readonly machine: 'q35';
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly diskBus: 'ahci';
  readonly nicModel: 'e1000e';
  readonly mac: string;
}

/** A server's disk and the machine it runs on; the disk is read-only and belongs to the cache, so copy it. */
export interface PhysicalServer {
  readonly diskPath: string;
  readonly format: 'raw';
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly hostname: string;
  readonly codename: string;
  readonly probe: { readonly kind: 'http'; readonly port: number; readonly path: string };
  readonly hardware: PhysicalServerHardware;
}

export interface BuildOptions {
  readonly tools: HostTools;
  /** Default: the cache of `tools`. */
  readonly cacheDir?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

export const HARDWARE: PhysicalServerHardware = {
  firmware: 'bios',
  machine: 'q35',
  memoryMiB: 512,
  vcpus: 1,
  diskBus: 'ahci',
  nicModel: 'e1000e',
  mac: SERVER.mac,
};

/** The packages, the unpacked root and the disk, each with some room. */
const SPACE_BYTES = 2.5 * 1024 ** 3;
const LOCK_PATIENCE_MS = 30 * 60_000;
const LOCK_POLL_MS = 500;

/**
 * The demo's server, as a disk: a Debian of this machine's release, installed from the distribution's packages, that
 * starts from SATA alone and knows its disk and its network card by their old names.
 *
 *     <cache>/physical-server/apt/…              packages as fetched
 *     <cache>/physical-server/<recipe>/disk.raw  the disk and its manifest.json, whole or not there
 *
 * A disk that is there is given back at once. Two callers at the same time make one disk. After an error or an abort
 * nothing is left but the fetched packages. Rejects with PhysicalServerError, or the signal's reason.
 */
export async function buildPhysicalServer(options: BuildOptions): Promise<PhysicalServer> {
  const { signal, cacheDir = options.tools.cacheDir } = options;
  const progress = new ProgressReporter(options.onProgress);
  const { codename } = await debianRelease();
  const home = join(cacheDir, 'physical-server');
  const folder = join(home, await recipeHash(codename));
  const there = await readServer(folder);
  if (there) return there;

  await mkdir(home, { recursive: true });
  const lock = await takeLock(home, progress, signal);
  try {
    const meanwhile = await readServer(folder);
    if (meanwhile) return meanwhile;
    await removeDrafts(home);
    await refuseWithoutSpace(home);
    await build(folder, home, options, progress);
  } finally {
    await lock.release();
  }
  const server = await readServer(folder);
  if (!server)
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_CACHE_DAMAGED',
      `${folder} was built and is gone. Something else clears the cache; try again.`,
    );
  progress.done();
  return server;
}

async function build(
  folder: string,
  home: string,
  { signal }: BuildOptions,
  progress: ProgressReporter,
): Promise<void> {
  const stop = signal ? { signal } : {};
  const chamber = await openChamber(signal);
  const packages = await fetchPackages(
    join(home, 'apt'),
    { base: BASE_PACKAGES, more: SERVER_PACKAGES, aside: BUILDING_PACKAGES },
    { onStep: (step) => progress.at('fetch', step), ...stop },
  );
  const draft = join(home, `${randomUUID()}.partial`);
  const site = { chamber, root: join(draft, 'root'), workshop: join(draft, 'workshop'), progress };
  try {
    await mkdir(site.root, { recursive: true });
    await mkdir(site.workshop);
    await installRoot(site, packages);
    progress.at('disk', 'writing the disk');
    const diskPath = await writeDisk(site);
    progress.at('disk', 'taking its checksum', 0.6);
    await chmod(diskPath, 0o444);
    await writeManifest(dirname(diskPath), { packages, ...stop });
    // A damaged one would be in the way.
    await rm(folder, { recursive: true, force: true });
    await rename(dirname(diskPath), folder);
  } finally {
    await removeDrafts(home);
  }
}

async function readServer(folder: string): Promise<PhysicalServer | undefined> {
  const manifest = await readManifest(folder);
  if (!manifest) return undefined;
  return {
    diskPath: join(folder, 'disk.raw'),
    format: 'raw',
    sizeBytes: manifest.sizeBytes,
    sha256: manifest.sha256,
    hostname: SERVER.hostname,
    codename: manifest.codename,
    probe: { kind: 'http', port: SERVER.servicePort, path: '/' },
    hardware: HARDWARE,
  };
}

/** Half-made disks, of ours or of a process that was killed; to be called by the lock's holder alone. */
async function removeDrafts(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (name.endsWith('.partial')) await rm(join(home, name), { recursive: true, force: true });
  }
}

async function refuseWithoutSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= SPACE_BYTES) return;
  const mib = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  throw new PhysicalServerError(
    'PHYSICAL_SERVER_SPACE_MISSING',
    `${folder} has ${mib(free)} free, and making the server takes ${mib(SPACE_BYTES)}. Make room, or set WATARI_CACHE to a folder on a larger disk.`,
    { canRetry: true },
  );
}

/** Another process that builds the same is waited for. */
async function takeLock(
  home: string,
  progress: ProgressReporter,
  signal: AbortSignal | undefined,
): Promise<FolderLock> {
  const until = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await FolderLock.take(home);
    } catch (error) {
      if (!(error instanceof FolderInUse) || performance.now() > until) throw error;
      progress.at(
        'fetch',
        `waiting for the process with pid ${error.pid ?? '?'}, which makes the server just now`,
      );
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
    }
  }
}
