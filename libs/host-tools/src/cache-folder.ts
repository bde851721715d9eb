import { access, readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Everything that can be made again lives here: fetched programs, built disks. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return env['WATARI_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'watari');
}

export async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/** Folders below an unpacked root that hold shared libraries, so that its programs find them. */
export async function libraryFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const top of ['usr/lib', 'lib']) {
    const base = join(root, top);
    for (const triplet of await foldersIn(base)) {
      if (!triplet.endsWith('-linux-gnu')) continue;
      const folder = join(base, triplet);
      found.push(folder);
      // Some packages keep libraries that only their relatives need one level below.
      for (const name of await foldersIn(folder)) {
        if ((await readdir(join(folder, name))).some((file) => /^lib.*\.so(\.\d+)*$/.test(file)))
          found.push(join(folder, name));
      }
    }
  }
  return found;
}

async function foldersIn(path: string): Promise<string[]> {
  if (!(await isThere(path))) return [];
  const names = await readdir(path);
  const kinds = await Promise.all(names.map((name) => stat(join(path, name)).catch(() => undefined)));
  return names.filter((_, index) => kinds[index]?.isDirectory());
}
