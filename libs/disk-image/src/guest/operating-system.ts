import type { GuestReader } from './guest-files';

export interface OperatingSystem {
  /** osinfo short id, such as debian12 or ubuntu22.04; `unknown` where no release is named. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

/** Words of /etc/os-release. Values are taken as they are: nothing in them is expanded. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const words = new Map<string, string>();
  for (const line of text.split('\n').slice(0, 500)) {
    const [, key, value] = /^\s*([A-Z0-9_]{1,64})=(.{0,1000})$/.exec(line) ?? [];
    if (key && value !== undefined) words.set(key, value.trim().replace(/^(["'])(.*)\1$/, '$2'));
  }
  return words;
}

/** What os-release says; undefined where there is none. */
export async function readOperatingSystem(tree: GuestReader): Promise<OperatingSystem | undefined> {
  const text = (await tree.readText('/etc/os-release')) ?? (await tree.readText('/usr/lib/os-release'));
  if (text === undefined) return undefined;
  const words = parseOsRelease(text);
  const distribution = words.get('ID') ?? '';
  const version = words.get('VERSION_ID') ?? '';
  const name = words.get('PRETTY_NAME') ?? words.get('NAME') ?? distribution;
  return {
    id:
      /^[a-z0-9._-]+$/.test(distribution) && version ? `${distribution}${version}`.slice(0, 100) : 'unknown',
    name: plain(name, 200) || 'unknown',
    version: plain(version, 100),
    architecture: await readArchitecture(tree),
  };
}

/** By the dynamic loader that the system's programs ask for, or the libraries' folder. */
async function readArchitecture(tree: GuestReader): Promise<string> {
  const triplets = { 'x86_64-linux-gnu': 'x86_64', 'aarch64-linux-gnu': 'aarch64', 'i386-linux-gnu': 'i686' };
  for (const [triplet, architecture] of Object.entries(triplets))
    if (await tree.find(`/usr/lib/${triplet}`)) return architecture;
  if (await tree.find('/lib64/ld-linux-x86-64.so.2')) return 'x86_64';
  return 'unknown';
}

/** The guest's own words are shown to people: no control characters, no endless lines. */
export function plain(text: string, lettersMax: number): string {
  return text
    .replace(/\p{Cc}/gu, ' ')
    .trim()
    .slice(0, lettersMax);
}
