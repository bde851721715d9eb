import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderInUse, FolderLock } from '@watari/process-identity';
import {
  type AptSource,
  distributionSources,
  formatDeb822,
  parseDeb822Sources,
  parseOneLineSources,
} from './apt-sources';
import { isThere } from './cache-folder';
import { HostToolError } from './errors';
import { runProgram } from './run-program';
import { FROM_BACKPORTS, PACKAGES, type ToolSet } from './tool-table';

export interface FetchOptions {
  readonly cacheDir: string;
  readonly onProgress?: (step: string, fraction?: number) => void;
  readonly signal?: AbortSignal;
}

const FETCH_TIMEOUT_MS = 15 * 60_000;
const LOCK_PATIENCE_MS = 20 * 60_000;
const LOCK_POLL_MS = 500;

/**
 * Programs from the distribution's packages, unpacked into the cache; the system itself is not touched.
 *
 *     <cache>/apt/          an apt of our own: sources, lists, downloads
 *     <cache>/tools/<set>-<release>/root/…   unpacked packages, whole or not there at all
 */
export function setFolder(cacheDir: string, set: ToolSet, release: string): string {
  const recipe = createHash('sha256').update(PACKAGES[set].join(' ')).digest('hex').slice(0, 8);
  return join(cacheDir, 'tools', `${set}-${release}-${recipe}`);
}

/** Fetches the set's packages unless they are there. Rejects with PACKAGES_UNAVAILABLE and the line to run instead. */
export async function fetchSet(set: ToolSet, options: FetchOptions): Promise<void> {
  const release = await readRelease();
  const folder = setFolder(options.cacheDir, set, release.codename);
  if (await isThere(folder)) return;
  await mkdir(join(options.cacheDir, 'tools'), { recursive: true });
  const lock = await takeLock(join(options.cacheDir, 'tools'), options.signal);
  try {
    if (await isThere(folder)) return;
    await fetchInto(folder, set, release, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw unavailable(set, release, error);
  } finally {
    await lock.release();
  }
}

export interface Release {
  /** Such as debian or ubuntu. */
  readonly id: string;
  readonly codename: string;
  readonly name: string;
}

/** What this machine runs, from os-release(5). */
export async function readRelease(path = '/etc/os-release'): Promise<Release> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return {
    id: field('ID') || 'unknown',
    codename: field('VERSION_CODENAME') || 'unknown',
    name: field('PRETTY_NAME') || 'an unknown system',
  };
}

/** The distribution's own package sources, as the user has them set up. */
export async function readDistributionSources(
  codename: string,
  { backports, folder = '/etc/apt' }: { backports: boolean; folder?: string },
): Promise<AptSource[]> {
  const oneLine = await readFile(join(folder, 'sources.list'), 'utf8').catch(() => '');
  const parts = join(folder, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).sort();
  const found = parseOneLineSources(oneLine);
  for (const name of names) {
    const text = await readFile(join(parts, name), 'utf8').catch(() => '');
    if (name.endsWith('.list')) found.push(...parseOneLineSources(text));
    if (name.endsWith('.sources')) found.push(...parseDeb822Sources(text));
  }
  return distributionSources(found, codename, { backports });
}

async function fetchInto(
  folder: string,
  set: ToolSet,
  { codename }: Release,
  { cacheDir, onProgress, signal }: FetchOptions,
): Promise<void> {
  const apt = join(cacheDir, 'apt', codename);
  const backports = (FROM_BACKPORTS[codename] ?? []).includes(set);
  const sources = await readDistributionSources(codename, { backports: codename in FROM_BACKPORTS });
  if (sources.length === 0) throw new Error(`apt has no source of ${codename} with the component main`);
  for (const name of ['lists/partial', 'archives/partial', 'sources', 'state'])
    await mkdir(join(apt, name), { recursive: true });
  await writeFile(join(apt, 'sources', 'distribution.sources'), formatDeb822(sources));
  await writeFile(join(apt, 'apt.conf'), aptConfiguration(apt));
  const settings = ['--config-file', join(apt, 'apt.conf')];
  const stop = signal ? { signal } : {};
  onProgress?.(`asking the distribution for ${PACKAGES[set].join(', ')}`);
  await runProgram('/usr/bin/apt-get', [...settings, 'update'], { timeoutMs: FETCH_TIMEOUT_MS, ...stop });
  // Another set's downloads must not be unpacked with this one's.
  await emptyFolder(join(apt, 'archives'));
  await runProgram(
    '/usr/bin/apt-get',
    [
      ...settings,
      'install',
      '--download-only',
      '--reinstall',
      '--no-install-recommends',
      '--yes',
      ...(backports ? ['--target-release', `${codename}-backports`] : []),
      ...PACKAGES[set],
    ],
    { timeoutMs: FETCH_TIMEOUT_MS, ...stop },
  );
  const archives = (await readdir(join(apt, 'archives'))).filter((name) => name.endsWith('.deb'));
  if (archives.length === 0) throw new Error('apt fetched nothing');
  const draft = `${folder}.${randomUUID()}.partial`;
  try {
    await mkdir(join(draft, 'root'), { recursive: true });
    for (const [index, name] of archives.entries()) {
      onProgress?.(`unpacking ${name}`, index / archives.length);
      await runProgram(
        '/usr/bin/dpkg-deb',
        ['--extract', join(apt, 'archives', name), join(draft, 'root')],
        stop,
      );
    }
    await writeFile(join(draft, 'packages.json'), JSON.stringify(archives.sort(), null, 2));
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
    await emptyFolder(join(apt, 'archives'));
  }
}

/** Commands that the system's settings hook onto apt's work; they would change the system. */
const HOOKS = [
  'APT::Update::Pre-Invoke',
  'APT::Update::Post-Invoke',
  'APT::Update::Post-Invoke-Success',
  'DPkg::Pre-Invoke',
  'DPkg::Post-Invoke',
  'DPkg::Pre-Install-Pkgs',
];

/**
 * The user's apt settings (proxies, keys) hold; sources, lists and downloads are ours, no hook of the system runs, and
 * nothing needs root. A file, as `-o` can add to a list of hooks but not empty it; given by `--config-file`, which apt
 * reads after the system's own. `statusPath` lists the packages that count as installed.
 */
export function aptConfiguration(
  apt: string,
  { statusPath = '/var/lib/dpkg/status' }: { statusPath?: string } = {},
): string {
  if (/["\n]/.test(apt)) throw new Error(`apt cannot be told of a folder named ${JSON.stringify(apt)}`);
  const settings: Record<string, string> = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(apt, 'sources'),
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State': join(apt, 'state'),
    'Dir::State::Lists': join(apt, 'lists'),
    'Dir::State::status': statusPath,
    'Dir::Cache': apt,
    'Dir::Cache::Archives': join(apt, 'archives'),
    'Debug::NoLocking': '1',
    'APT::Sandbox::User': '',
    'APT::Keep-Downloaded-Packages': '1',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Get::List-Cleanup': '1',
  };
  return [
    ...HOOKS.map((hook) => `#clear ${hook};`),
    ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`),
    '',
  ].join('\n');
}

async function emptyFolder(path: string): Promise<void> {
  for (const name of await readdir(path)) if (name.endsWith('.deb')) await rm(join(path, name));
}

/** Another process that fetches the same is waited for. */
export async function takeLock(folder: string, signal: AbortSignal | undefined): Promise<FolderLock> {
  const until = performance.now() + LOCK_PATIENCE_MS;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await FolderLock.take(folder);
    } catch (error) {
      if (!(error instanceof FolderInUse) || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
    }
  }
}

/** The line that brings a set's packages by hand. */
export function installLine(set: ToolSet, { codename }: Release): string {
  const fromBackports = (FROM_BACKPORTS[codename] ?? []).includes(set);
  return `sudo apt-get install --no-install-recommends ${fromBackports ? `-t ${codename}-backports ` : ''}${PACKAGES[set].join(' ')}`;
}

function unavailable(set: ToolSet, release: Release, cause: unknown): HostToolError {
  return new HostToolError(
    'PACKAGES_UNAVAILABLE',
    `The packages ${PACKAGES[set].join(', ')} cannot be fetched on ${release.name}: ${(cause as Error).message}\n` +
      `Install them yourself and try again: ${installLine(set, release)}`,
    { cause, canRetry: true },
  );
}
