import type { GuestReader } from '../../guest/guest-files';
import { parseOsRelease, plain } from '../../guest/operating-system';
import { type InstalledPackages, readInstalledPackages } from './packages';

/** Distributions that set a system up alike. `unknown`: only what every Linux has is adjusted. */
export type DistributionFamily = 'debian' | 'redhat' | 'suse' | 'arch' | 'unknown';

export type InitSystem = 'systemd' | 'upstart' | 'sysv' | 'unknown';

/** What the steps must know of the system that is installed. */
export interface GuestSystem {
  readonly family: DistributionFamily;
  /** By osinfo's short ids, such as `debian12`, `ubuntu22.04`, `rhel9.3`, `sle15sp5`; `unknown`. */
  readonly osId: string;
  /** What people call it. */
  readonly name: string;
  /** As the release says; empty where it does not. */
  readonly version: string;
  readonly architecture: 'x86_64' | 'aarch64' | 'i686' | 'unknown';
  readonly init: InitSystem;
  /** 219 for systemd-219; undefined where there is none, or it does not say. */
  readonly systemdVersion?: number;
  /** Undefined where the package database cannot be read here. */
  readonly packages?: InstalledPackages;
}

const FAMILIES: Readonly<Record<string, DistributionFamily>> = {
  debian: 'debian',
  ubuntu: 'debian',
  linuxmint: 'debian',
  raspbian: 'debian',
  devuan: 'debian',
  rhel: 'redhat',
  centos: 'redhat',
  rocky: 'redhat',
  almalinux: 'redhat',
  ol: 'redhat',
  fedora: 'redhat',
  scientific: 'redhat',
  amzn: 'redhat',
  sles: 'suse',
  sles_sap: 'suse',
  sled: 'suse',
  opensuse: 'suse',
  'opensuse-leap': 'suse',
  'opensuse-tumbleweed': 'suse',
  suse: 'suse',
  arch: 'arch',
};

/** Releases from before os-release: the file, what its text looks like, and the name that os-release would have. */
const OLD_RELEASES: readonly { path: string; pattern: RegExp; id: string }[] = [
  { path: '/etc/oracle-release', pattern: /release (\d+(?:\.\d+)?)/, id: 'ol' },
  { path: '/etc/centos-release', pattern: /release (\d+(?:\.\d+)?)/, id: 'centos' },
  { path: '/etc/redhat-release', pattern: /^CentOS.*release (\d+(?:\.\d+)?)/, id: 'centos' },
  { path: '/etc/redhat-release', pattern: /^Scientific.*release (\d+(?:\.\d+)?)/, id: 'scientific' },
  { path: '/etc/redhat-release', pattern: /^Fedora.*release (\d+)/, id: 'fedora' },
  { path: '/etc/redhat-release', pattern: /release (\d+(?:\.\d+)?)/, id: 'rhel' },
  {
    path: '/etc/SuSE-release',
    pattern: /^SUSE Linux Enterprise[\s\S]*?^VERSION = (\d+)(?:\s+PATCHLEVEL = (\d+))?/m,
    id: 'sles',
  },
  { path: '/etc/SuSE-release', pattern: /^openSUSE[\s\S]*?^VERSION = (\d+(?:\.\d+)?)/m, id: 'opensuse' },
  { path: '/etc/debian_version', pattern: /^(\d+)/, id: 'debian' },
];

interface Release {
  readonly id: string;
  readonly version: string;
  readonly like: readonly string[];
  readonly name: string;
}

/** Says what is installed. Never fails: what is not known is `unknown`. */
export async function readGuestSystem(files: GuestReader): Promise<GuestSystem> {
  const release = await readRelease(files);
  const ids = release ? [release.id, ...release.like] : [];
  const family = ids.map((id) => FAMILIES[id]).find((known) => known !== undefined) ?? 'unknown';
  const systemdVersion = await readSystemdVersion(files);
  const packages = await readInstalledPackages(files);
  return {
    family,
    osId: release ? shortId(release) : 'unknown',
    name: release?.name || 'unknown',
    version: plain(release?.version ?? '', 100),
    architecture: await readArchitecture(files),
    init: await readInit(files),
    ...(systemdVersion !== undefined && { systemdVersion }),
    ...(packages && { packages }),
  };
}

async function readRelease(files: GuestReader): Promise<Release | undefined> {
  const text = (await files.readText('/etc/os-release')) ?? (await files.readText('/usr/lib/os-release'));
  if (text !== undefined) {
    const words = parseOsRelease(text);
    const id = words.get('ID')?.toLowerCase() ?? '';
    const version = words.get('VERSION_ID') ?? '';
    const like = (words.get('ID_LIKE') ?? '').toLowerCase().split(/\s+/);
    const name = plain(words.get('PRETTY_NAME') ?? words.get('NAME') ?? id, 200);
    if (/^[a-z0-9._-]{1,60}$/.test(id)) return { id, version, like, name };
  }
  for (const { path, pattern, id } of OLD_RELEASES) {
    const old = await files.readText(path, 4096);
    const found = old === undefined ? undefined : pattern.exec(old);
    if (!found) continue;
    const version = found[2] === undefined ? (found[1] ?? '') : `${found[1]}.${found[2]}`;
    return { id, version, like: [], name: plain(old?.split('\n')[0] ?? id, 200) };
  }
  return undefined;
}

/** How osinfo's database writes ids: it takes majors alone where minor releases update in place. */
function shortId({ id, version, name }: Release): string {
  if (!/^[0-9][0-9A-Za-z._-]{0,30}$/.test(version)) return id === 'arch' ? 'archlinux' : 'unknown';
  const [major = '', minor] = version.split('.');
  switch (id) {
    case 'sles':
    case 'sles_sap':
    case 'sled': {
      const old = id === 'sled' ? 'sled' : 'sles';
      const product = Number(major) >= 15 ? 'sle' : old;
      return minor === undefined || minor === '0' ? `${product}${major}` : `${product}${major}sp${minor}`;
    }
    case 'opensuse-leap':
    case 'opensuse':
      return `opensuse${version}`;
    case 'opensuse-tumbleweed':
      return 'opensusetumbleweed';
    case 'rhel':
      return `rhel${version}`;
    case 'centos':
      return /\bStream\b/.test(name) || Number(major) >= 9 ? `centos-stream${major}` : `centos${version}`;
    case 'rocky':
    case 'almalinux':
      return `${id}${major}`;
    case 'debian':
    case 'fedora':
      return `${id}${major}`;
    default:
      return `${id}${version}`;
  }
}

const LOADERS = [
  ['x86_64', ['/lib64/ld-linux-x86-64.so.2', '/usr/lib/x86_64-linux-gnu']],
  ['aarch64', ['/lib/ld-linux-aarch64.so.1', '/usr/lib/aarch64-linux-gnu']],
  ['i686', ['/lib/ld-linux.so.2', '/usr/lib/i386-linux-gnu']],
] as const;

async function readArchitecture(files: GuestReader): Promise<GuestSystem['architecture']> {
  for (const [architecture, paths] of LOADERS)
    for (const path of paths) if (await files.find(path)) return architecture;
  return 'unknown';
}

async function readInit(files: GuestReader): Promise<InitSystem> {
  for (const path of ['/usr/lib/systemd/systemd', '/lib/systemd/systemd'])
    if (await files.find(path)) return 'systemd';
  if ((await files.names('/etc/init')).some((name) => name.endsWith('.conf'))) return 'upstart';
  return (await files.find('/etc/inittab')) ? 'sysv' : 'unknown';
}

/** By the name of its library of internals, which it has had since 230. */
async function readSystemdVersion(files: GuestReader): Promise<number | undefined> {
  const folders = [
    '/usr/lib/systemd',
    '/lib/systemd',
    '/usr/lib64/systemd',
    '/usr/lib/x86_64-linux-gnu/systemd',
    '/usr/lib/aarch64-linux-gnu/systemd',
  ];
  for (const folder of folders)
    for (const name of await files.names(folder)) {
      const version = /^libsystemd-shared-(\d{3})\D/.exec(name)?.[1];
      if (version) return Number(version);
    }
  return undefined;
}
