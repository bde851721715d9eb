import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { join } from 'node:path';
import { defaultCacheDir, isThere, libraryFolders } from './cache-folder';
import { HostToolError } from './errors';
import { type FetchOptions, fetchSet, installLine, readRelease, setFolder } from './package-cache';
import { type RunOptions, type RunResult, programEnv, runProgram, spawnProgram } from './run-program';
import {
  FOLDERS,
  type FolderName,
  TOOLS,
  type ToolEntry,
  type ToolName,
  type ToolSet,
  isAtLeast,
} from './tool-table';

export interface ResolvedTool {
  readonly tool: ToolName;
  readonly path: string;
  /** What its process needs on top of the caller's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly version?: string;
  readonly origin: 'system' | 'cache';
}

/** External programs, from the system or from our cache. Programs get their arguments as they are, never by a shell. */
export interface HostTools {
  readonly cacheDir: string;
  /** Throws HOST_TOOL_MISSING with what to do. */
  resolve(tool: ToolName): Promise<ResolvedTool>;
  /** A folder that packages bring. Throws HOST_TOOL_MISSING. */
  folder(name: FolderName): Promise<string>;
  /** Runs to the end. Rejects with HostToolError. */
  run(tool: ToolName, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** For programs that stay, such as QEMU; `env` is the whole environment when it is given. */
  spawn(
    tool: ToolName,
    args: readonly string[],
    options?: Omit<SpawnOptions, 'shell'>,
  ): Promise<ChildProcess>;
}

export function createHostTools({ cacheDir = defaultCacheDir() }: { cacheDir?: string } = {}): HostTools {
  const resolved = new Map<ToolName, Promise<ResolvedTool>>();
  const resolve = (tool: ToolName): Promise<ResolvedTool> => {
    const known = resolved.get(tool);
    if (known) return known;
    const found = find(tool, cacheDir);
    resolved.set(tool, found);
    // Missing now, it may be there after a fetch.
    found.catch(() => resolved.delete(tool));
    return found;
  };
  return {
    cacheDir,
    resolve,
    folder: (name) => findFolder(name, cacheDir),
    run: async (tool, args, options = {}) => {
      const { path, env } = await resolve(tool);
      return runProgram(path, args, { ...options, env: { ...env, ...options.env } });
    },
    spawn: async (tool, args, options = {}) => {
      const { path, env } = await resolve(tool);
      return spawnProgram(path, args, { ...options, env: { ...(options.env ?? programEnv()), ...env } });
    },
  };
}

/** Fetches what is missing of the given tools into the cache; see `fetchSet`. */
export async function ensureHostTools(
  tools: readonly (ToolName | FolderName)[],
  options: Partial<FetchOptions> = {},
): Promise<void> {
  const cacheDir = options.cacheDir ?? defaultCacheDir();
  const host = createHostTools({ cacheDir });
  for (const tool of tools) {
    const isFolder = tool in FOLDERS;
    const found = isFolder ? host.folder(tool as FolderName) : host.resolve(tool as ToolName);
    const isMissing = await found.then(
      () => false,
      (error: unknown) => {
        if ((error as { code?: unknown }).code === 'HOST_TOOL_MISSING') return true;
        throw error;
      },
    );
    if (!isMissing) continue;
    const { set } = isFolder ? FOLDERS[tool as FolderName] : TOOLS[tool as ToolName];
    await fetchSet(set, { ...options, cacheDir });
  }
}

/** `-L` folders where QEMU finds its firmware, when it does not come from the system. */
export async function qemuDataDirs(tools: HostTools): Promise<string[]> {
  const { origin, path } = await tools.resolve('qemu-system-x86_64');
  if (origin === 'system') return [];
  const root = path.slice(0, path.lastIndexOf('/root/usr/') + '/root'.length);
  const folders = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu', 'usr/share/OVMF'].map((name) =>
    join(root, name),
  );
  const there = await Promise.all(folders.map(isThere));
  return folders.filter((_, index) => there[index]);
}

async function find(tool: ToolName, cacheDir: string): Promise<ResolvedTool> {
  const entry: ToolEntry = TOOLS[tool];
  for (const path of entry.paths) {
    if (!(await isThere(path))) continue;
    const version = await versionOf(path, entry, {});
    if (entry.versionMin && !isAtLeast(version, entry.versionMin)) continue;
    return { tool, path, env: {}, origin: 'system', ...(version !== undefined && { version }) };
  }
  const root = await cachedRoot(entry.set, cacheDir);
  for (const path of entry.paths.map((below) => join(root, below))) {
    if (!(await isThere(path))) continue;
    const env = await cacheEnv(root);
    const version = await versionOf(path, entry, env);
    if (entry.versionMin && !isAtLeast(version, entry.versionMin)) continue;
    return { tool, path, env, origin: 'cache', ...(version !== undefined && { version }) };
  }
  throw await missing(tool, entry);
}

async function findFolder(name: FolderName, cacheDir: string): Promise<string> {
  const { set, path } = FOLDERS[name];
  if (await isThere(path)) return path;
  const cached = join(await cachedRoot(set, cacheDir), path);
  if (await isThere(cached)) return cached;
  throw await missing(name, { set });
}

async function cachedRoot(set: ToolSet, cacheDir: string): Promise<string> {
  return join(setFolder(cacheDir, set, (await readRelease()).codename), 'root');
}

async function cacheEnv(root: string): Promise<Record<string, string>> {
  const folders = await libraryFolders(root);
  const modules = folders.map((folder) => join(folder, 'qemu'));
  const there = await Promise.all(modules.map(isThere));
  const [qemuModules] = modules.filter((_, index) => there[index]);
  return { LD_LIBRARY_PATH: folders.join(':'), ...(qemuModules && { QEMU_MODULE_DIR: qemuModules }) };
}

async function versionOf(
  path: string,
  { versionArgs, versionPattern }: ToolEntry,
  env: Record<string, string>,
) {
  if (!versionArgs || !versionPattern) return undefined;
  const { stdout } = await runProgram(path, versionArgs, { env, timeoutMs: 20_000 });
  return versionPattern.exec(stdout.toString('utf8'))?.[1];
}

async function missing(
  name: string,
  { set, versionMin }: Pick<ToolEntry, 'set' | 'versionMin'>,
): Promise<HostToolError> {
  return new HostToolError(
    'HOST_TOOL_MISSING',
    `${name}${versionMin ? ` (${versionMin} or later)` : ''} is neither on this system nor in the cache. ` +
      `"watari doctor --fetch" brings it, or install it: ${installLine(set, await readRelease())}`,
  );
}
