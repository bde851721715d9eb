import { createHash, randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTools, fetchPackageRoot, runProgram } from '@watari/host-tools';
import { type CpioEntry, writeCpio } from '../../initramfs/cpio';
import { ApplianceError } from '../errors';
import {
  APPLETS,
  FOLDERS,
  IMAGE_VERSION,
  LIBRARIES,
  MODULES_OPTIONAL,
  MODULES_REQUIRED,
  PACKAGES,
  PROGRAMS,
  SETTINGS,
  SYMLINKS,
} from './contents';
import { readKernel } from './kernel';
import { PackageFiles } from './package-files';

export interface ApplianceImage {
  readonly kernelPath: string;
  readonly initramfsPath: string;
  /** Names what it was made of: packages by version, programs, agent. */
  readonly hash: string;
}

export interface BuildImageOptions {
  readonly tools: HostTools;
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal;
}

/** The agent's sources lie beside this package's own, also where it runs compiled. */
const AGENT = join(__dirname, '..', '..', '..', 'src', 'appliance', 'agent');
const LOADER = 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';
/** Another version of this program may still use its own. */
const OLD_MS = 7 * 24 * 3600 * 1000;
const SYMLINK_MODE = 0o120777;
const DIRECTORY_MODE = 0o040755;

/**
 * The appliance's kernel and initramfs, made from the distribution's packages without root, and kept in the cache
 * under the hash of all that they are made of. Rejects with APPLIANCE_UNAVAILABLE, or what the package cache says.
 */
export async function ensureImage(options: BuildImageOptions): Promise<ApplianceImage> {
  const { tools, onProgress, signal } = options;
  const { root, archives } = await fetchPackageRoot({
    name: 'appliance',
    packages: PACKAGES,
    cacheDir: tools.cacheDir,
    onProgress,
    signal,
  });
  const hash = await recipeHash(archives);
  const home = join(tools.cacheDir, 'appliance');
  const image = {
    kernelPath: join(home, hash, 'vmlinuz'),
    initramfsPath: join(home, hash, 'initramfs.cpio'),
    hash,
  };
  if (await isWhole(image)) return image;
  onProgress?.('putting the appliance together');
  const draft = join(home, `${randomUUID()}.partial`);
  try {
    await mkdir(draft, { recursive: true });
    await build(root, draft, options);
    // Another process may have been faster; what it made is the same.
    await rename(draft, join(home, hash)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    await removeOld(home, hash);
  } catch (error) {
    signal?.throwIfAborted();
    throw new ApplianceError(
      'APPLIANCE_UNAVAILABLE',
      `The appliance that opens such disks cannot be put together: ${(error as Error).message} Remove ${root} and try again.`,
      { cause: error },
    );
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return image;
}

async function build(root: string, folder: string, { tools, signal }: BuildImageOptions): Promise<void> {
  const files = new PackageFiles(root);
  for (const name of PROGRAMS) await files.addProgram(name);
  for (const name of LIBRARIES) await files.addLibrary(name);
  await files.addProgram('busybox');
  await addInterpreter(root, files, signal);
  const wanted = { required: MODULES_REQUIRED, optional: MODULES_OPTIONAL };
  const kernel = await readKernel(root, wanted, tools);
  const init = await readFile(join(AGENT, 'init'));
  const archive = writeCpio([
    ...FOLDERS.map((path) => ({ path, mode: DIRECTORY_MODE, content: Buffer.alloc(0) })),
    ...Object.entries(SYMLINKS).map(([path, target]) => symlink(path, target)),
    ...APPLETS.map((name) => symlink(`usr/sbin/${name}`, 'busybox')),
    ...Object.entries(SETTINGS).map(([path, text]) => ({ path, mode: 0o100644, content: Buffer.from(text) })),
    { path: 'init', mode: 0o100755, content: init },
    ...files.entries,
    ...kernel.modules,
  ]);
  await copyFile(kernel.imagePath, join(folder, 'vmlinuz'));
  await writeDurably(join(folder, 'initramfs.cpio'), archive);
}

/** The interpreter, and of its library what the agent uses, compiled: it starts in a fraction of the time. */
async function addInterpreter(root: string, files: PackageFiles, signal?: AbortSignal): Promise<void> {
  const names = await readdir(join(root, 'usr/bin'));
  const name = names.find((one) => /^python3\.\d+$/.test(one));
  const program = name && (await files.read(join('usr/bin', name)));
  if (!program) throw new Error('No package of the appliance brings Python.');
  await files.add('usr/sbin/python3', program, 0o755);
  const out = await mkdtemp(join(tmpdir(), 'watari-appliance-'));
  try {
    const libraries = ['lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu'].map((path) => join(root, path));
    await runProgram(
      join(root, LOADER),
      [
        ...['--library-path', libraries.join(':'), join(root, 'usr/bin', name)],
        ...['-I', '-S', '-B', '-X', 'utf8', '-X', 'frozen_modules=off', join(AGENT, 'pack.py'), AGENT, out],
      ],
      { env: { PYTHONHOME: '', PYTHONPATH: '' }, signal },
    );
    for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      await files.add(path.slice(out.length + 1), await readFile(path));
    }
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}

async function recipeHash(archives: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  const lists = [PACKAGES, PROGRAMS, LIBRARIES, APPLETS, MODULES_REQUIRED, MODULES_OPTIONAL, FOLDERS];
  hash.update(JSON.stringify([IMAGE_VERSION, archives, lists, SYMLINKS, SETTINGS]));
  for (const name of (await readdir(AGENT)).sort()) {
    if (!/^(init|\w+\.py)$/.test(name)) continue;
    const content = await readFile(join(AGENT, name));
    hash.update(`${name}:${content.length}:`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

async function isWhole({ kernelPath, initramfsPath }: ApplianceImage): Promise<boolean> {
  const found = await Promise.all(
    [kernelPath, initramfsPath].map((path) => stat(path).catch(() => undefined)),
  );
  return found.every((file) => file !== undefined && file.size > 0);
}

/** Earlier versions, and drafts of processes that were killed. */
async function removeOld(home: string, hash: string): Promise<void> {
  for (const name of await readdir(home)) {
    const path = join(home, name);
    const found = name === hash ? undefined : await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > OLD_MS) await rm(path, { recursive: true, force: true });
  }
}

async function writeDurably(path: string, content: Buffer): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

function symlink(path: string, target: string): CpioEntry {
  return { path, mode: SYMLINK_MODE, content: Buffer.from(target) };
}
