import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDeb822 } from './apt-sources';
import { defaultCacheDir, isThere } from './cache-folder';
import { HostToolError } from './errors';
import {
  type FetchOptions,
  aptConfiguration,
  readDistributionSources,
  readRelease,
  takeLock,
} from './package-cache';
import { runProgram } from './run-program';

export interface PackageRoot {
  /** Holds the packages' files as they are, unpacked beside each other; no script of a package was run. */
  readonly root: string;
  /** File names of the packages, sorted: they say which versions are in the root. */
  readonly archives: readonly string[];
}

export interface PackageRootRequest extends Partial<FetchOptions> {
  /** Part of the folder's name. */
  readonly name: string;
  readonly packages: readonly string[];
}

const FETCH_TIMEOUT_MS = 15 * 60_000;

/**
 * Packages with everything that they depend on, down to the C library, whatever this system has installed: what is
 * in the root runs by itself. Fetched once by an apt of its own, then given back from the cache, where
 * `tools/<name>-<release>-<recipe>` is whole or not there at all.
 *
 * Rejects with PACKAGES_UNAVAILABLE.
 */
export async function fetchPackageRoot(request: PackageRootRequest): Promise<PackageRoot> {
  const { name, packages, cacheDir = defaultCacheDir(), signal } = request;
  const { codename, name: systemName } = await readRelease();
  const recipe = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 8);
  const folder = join(cacheDir, 'tools', `${name}-${codename}-${recipe}`);
  if (await isThere(folder)) return open(folder);
  await mkdir(join(cacheDir, 'tools'), { recursive: true });
  const lock = await takeLock(join(cacheDir, 'tools'), signal);
  try {
    if (!(await isThere(folder))) await fetchInto(folder, codename, request);
  } catch (error) {
    signal?.throwIfAborted();
    throw new HostToolError(
      'PACKAGES_UNAVAILABLE',
      `The packages ${packages.join(', ')} cannot be fetched on ${systemName}: ${(error as Error).message}\n` +
        'See whether "apt-get update" works on this machine, then try again.',
      { cause: error, canRetry: true },
    );
  } finally {
    await lock.release();
  }
  return open(folder);
}

async function open(folder: string): Promise<PackageRoot> {
  const archives = JSON.parse(await readFile(join(folder, 'packages.json'), 'utf8')) as string[];
  return { root: join(folder, 'root'), archives };
}

async function fetchInto(
  folder: string,
  codename: string,
  { packages, onProgress, signal }: PackageRootRequest,
): Promise<void> {
  const sources = await readDistributionSources(codename, { backports: false });
  if (sources.length === 0) throw new Error(`apt has no source of ${codename} with the component main`);
  const draft = `${folder}.${randomUUID()}.partial`;
  // An apt of its own for once: it must not know what this system, or an earlier question, has.
  const apt = join(draft, 'apt');
  const stop = signal ? { signal } : {};
  try {
    for (const name of ['lists/partial', 'archives/partial', 'sources', 'state'])
      await mkdir(join(apt, name), { recursive: true });
    await writeFile(join(apt, 'sources', 'distribution.sources'), formatDeb822(sources));
    await writeFile(join(apt, 'status'), '');
    const configuration = aptConfiguration(apt, { statusPath: join(apt, 'status') });
    await writeFile(join(apt, 'apt.conf'), configuration);
    const run = (args: readonly string[]) =>
      runProgram('/usr/bin/apt-get', ['--config-file', join(apt, 'apt.conf'), ...args], {
        timeoutMs: FETCH_TIMEOUT_MS,
        ...stop,
      });
    onProgress?.(`asking the distribution for ${packages.join(', ')}`);
    await run(['update']);
    await run(['install', '--download-only', '--no-install-recommends', '--yes', ...packages]);
    const archives = (await readdir(join(apt, 'archives'))).filter((name) => name.endsWith('.deb')).sort();
    await mkdir(join(draft, 'root'));
    for (const [index, name] of archives.entries()) {
      onProgress?.(`unpacking ${name}`, index / archives.length);
      await runProgram(
        '/usr/bin/dpkg-deb',
        ['--extract', join(apt, 'archives', name), join(draft, 'root')],
        stop,
      );
    }
    await writeFile(join(draft, 'packages.json'), JSON.stringify(archives, null, 2));
    await rm(apt, { recursive: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
