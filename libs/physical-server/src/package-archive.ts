import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  HostToolError,
  formatDeb822,
  readDistributionSources,
  readRelease,
  runProgram,
} from '@watari/host-tools';
import { PhysicalServerError } from './errors';

export interface Packages {
  readonly codename: string;
  readonly aptSources: string;
  /** Paths of archives of the bare system, and of the rest. */
  readonly base: readonly string[];
  readonly more: readonly string[];
  /** What the building needs and the server does not. */
  readonly aside: readonly string[];
}

export interface PackageRequest {
  readonly base: readonly string[];
  readonly more: readonly string[];
  readonly aside: readonly string[];
}

const APT = '/usr/bin/apt-get';
const TIMEOUT_MS = 15 * 60_000;

/** The Debian release that is built: this machine's own, from the sources its apt uses. */
export async function debianRelease(): Promise<{ codename: string; aptSources: string }> {
  const { id, codename, name } = await readRelease();
  if (id !== 'debian') {
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_UNSUPPORTED_HOST',
      `The demo's server is made from Debian's packages, and this is ${name}. Run the demo on Debian 12 or later, or give it a disk of your own with --disk.`,
    );
  }
  const sources = await readDistributionSources(codename, { backports: false });
  if (sources.length === 0) {
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_UNSUPPORTED_HOST',
      `apt on ${name} has no source of ${codename} with the component main. Add one to /etc/apt/sources.list.d and try again.`,
    );
  }
  // The server follows its release alone; other suites of the host (backports, proposed) are the host's affair.
  const wanted = [codename, `${codename}-updates`, `${codename}-security`];
  const kept = sources
    .map((source) => ({
      ...source,
      suites: source.suites.filter((suite) => wanted.includes(suite)),
      components: ['main'],
    }))
    .filter(({ suites }) => suites.length > 0);
  return { codename, aptSources: formatDeb822(kept) };
}

/**
 * Fetches packages and all they depend on into `folder` by an apt of its own, which knows an empty system and writes
 * nowhere else. What was fetched before is not fetched again.
 */
export async function fetchPackages(
  folder: string,
  { base, more, aside }: PackageRequest,
  options: { readonly onStep?: (step: string) => void; readonly signal?: AbortSignal } = {},
): Promise<Packages> {
  const { codename, aptSources } = await debianRelease();
  for (const name of ['lists/partial', 'archives/partial', 'sources', 'state']) {
    await mkdir(join(folder, name), { recursive: true });
  }
  await writeFile(join(folder, 'sources', 'distribution.sources'), aptSources);
  await writeFile(join(folder, 'status'), '');
  const settings = aptSettings(folder);
  const run = (args: readonly string[]) =>
    runProgram(APT, [...settings, ...args], {
      timeoutMs: TIMEOUT_MS,
      ...(options.signal && { signal: options.signal }),
    });
  const archives = async (names: readonly string[]) => {
    const { stdout } = await run(['install', '--yes', '--print-uris', ...names]);
    return archiveNames(stdout.toString('utf8'));
  };
  try {
    options.onStep?.('asking the distribution for its packages');
    await run(['update']);
    // What is fetched already is not printed, so the question is asked as if nothing was.
    const nowhere = ['-o', `Dir::Cache::Archives=${join(folder, 'state')}`];
    const baseNames = await archives([...nowhere, ...base]);
    const serverNames = await archives([...nowhere, ...base, ...more]);
    const allNames = await archives([...nowhere, ...base, ...more, ...aside]);
    options.onStep?.(`fetching ${allNames.length} packages`);
    await run(['install', '--yes', '--download-only', ...base, ...more, ...aside]);
    await keepOnly(join(folder, 'archives'), allNames);
    const path = (name: string) => join(folder, 'archives', name);
    return {
      codename,
      aptSources,
      base: baseNames.map(path),
      more: serverNames.filter((name) => !baseNames.includes(name)).map(path),
      aside: allNames.filter((name) => !serverNames.includes(name)).map(path),
    };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof HostToolError)) throw error;
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_PACKAGES_UNAVAILABLE',
      `The packages of Debian ${codename} cannot be fetched: ${error.message}\nSee whether "apt-get update" works on this machine, then try again.`,
      { cause: error, canRetry: true },
    );
  }
}

/** Reads lines such as `'http://…/a.deb' a_1%3a2_amd64.deb 123 SHA256:…`. */
export function archiveNames(printedUris: string): string[] {
  return [...printedUris.matchAll(/^'[^']+' (\S+\.deb) \d+ /gm)].map(([, name = '']) => name);
}

/** The user's apt settings (proxies, keys) hold; everything that apt reads of this system or writes is put aside. */
function aptSettings(folder: string): string[] {
  const settings: Record<string, string> = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(folder, 'sources'),
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State': join(folder, 'state'),
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': folder,
    'Dir::Cache::Archives': join(folder, 'archives'),
    'Debug::NoLocking': '1',
    'APT::Architecture': 'amd64',
    'APT::Sandbox::User': '',
    'APT::Install-Recommends': '0',
    'APT::Install-Suggests': '0',
    'APT::Keep-Downloaded-Packages': '1',
    'APT::Update::Post-Invoke': '',
    'APT::Update::Post-Invoke-Success': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

async function keepOnly(folder: string, names: readonly string[]): Promise<void> {
  const wanted = new Set(names);
  for (const name of await readdir(folder)) {
    if (name.endsWith('.deb') && !wanted.has(name)) await rm(join(folder, name));
  }
}
