import type { GuestReader } from '../../guest/guest-files';
import { readRpmPackages } from './rpm/read-rpm';

/** What the package database says is installed. */
export interface InstalledPackages {
  readonly names: ReadonlySet<string>;
  /** Absolute paths that a package brought; none where that is not known. */
  filesOf(name: string): Promise<readonly string[]>;
}

const DPKG_STATUS_BYTES_MAX = 64 * 1024 * 1024;
const DPKG_LIST_BYTES_MAX = 4 * 1024 * 1024;
const DPKG_FOLDER = '/var/lib/dpkg';
const PACKAGE_NAME = /^[A-Za-z0-9][A-Za-z0-9+._-]{0,200}$/;

/** By dpkg's or RPM's database; undefined where there is neither, or none of a kind that is read here. */
export async function readInstalledPackages(files: GuestReader): Promise<InstalledPackages | undefined> {
  return (await readDpkg(files)) ?? (await readRpm(files));
}

async function readDpkg(files: GuestReader): Promise<InstalledPackages | undefined> {
  const status = await files.read(`${DPKG_FOLDER}/status`, DPKG_STATUS_BYTES_MAX);
  if (!status) return undefined;
  const names = dpkgNames(status.toString('latin1'));
  return {
    names,
    filesOf: async (name) => {
      if (!names.has(name)) return [];
      for (const suffix of ['', ':amd64', ':arm64', ':i386']) {
        const path = `${DPKG_FOLDER}/info/${name}${suffix}.list`;
        const text = await files.readText(path, DPKG_LIST_BYTES_MAX);
        if (text !== undefined) return text.split('\n').filter((line) => line.startsWith('/'));
      }
      return [];
    },
  };
}

async function readRpm(files: GuestReader): Promise<InstalledPackages | undefined> {
  const packages = await readRpmPackages(files);
  return (
    packages && {
      names: new Set(packages.map(({ name }) => name)),
      filesOf: (wanted) =>
        Promise.resolve(packages.flatMap((one) => (one.name === wanted ? one.files() : []))),
    }
  );
}

/** Names of a dpkg status file whose packages are installed, not only configured once. */
export function dpkgNames(status: string): Set<string> {
  const names = new Set<string>();
  for (const paragraph of status.split('\n\n')) {
    const name = /^Package: (\S{1,200})$/m.exec(paragraph)?.[1];
    const state = /^Status: (.{1,100})$/m.exec(paragraph)?.[1];
    if (name && PACKAGE_NAME.test(name) && state?.endsWith(' installed')) names.add(name);
  }
  return names;
}
