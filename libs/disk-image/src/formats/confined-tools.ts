import { access, constants } from 'node:fs/promises';
import { type HostTools, type ResolvedTool, programEnv, runProgram, spawnProgram } from '@watari/host-tools';

/** What a program that reads somebody else's image may take. */
export interface Confinement {
  /** No file may grow beyond this. The program is ended when it tries. */
  readonly fileBytesMax: number;
  /** Address space; default 8 GiB. */
  readonly memoryBytesMax?: number;
}

const MEMORY_BYTES_MAX = 8 * 1024 ** 3;
const PROBE_TIMEOUT_MS = 10_000;
const PRLIMIT = '/usr/bin/prlimit';
const ENV = '/usr/bin/env';

/**
 * Programs that take rights away from what they start, with other ways of asking for the same: the first that
 * works here is taken. They are part of every Linux (util-linux); what nothing works for is left out.
 */
const WALLS: readonly (readonly (readonly string[])[])[] = [
  // Of a root user's powers, reading files of other users is left: images often belong to somebody else.
  [
    ['/usr/bin/setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all,+dac_read_search', '--'],
    ['/usr/bin/setpriv', '--no-new-privs', '--inh-caps=-all', '--'],
  ],
  [
    ['/usr/bin/unshare', '--net', '--ipc', '--'],
    ['/usr/bin/unshare', '--user', '--map-current-user', '--net', '--ipc', '--'],
  ],
];

let launcher: Promise<readonly string[]> | undefined;

/**
 * The same tools, but what they start has no network, gains no rights, dumps no core and is held to limits: a
 * second wall behind the checks of an image's headers.
 */
export function confine(tools: HostTools, confinement: Confinement): HostTools {
  const command = async (resolved: ResolvedTool, args: readonly string[]): Promise<[string, string[]]> => {
    launcher ??= probe();
    const [first = ENV, ...rest] = [...(await launcher), ...(await limits(confinement)), ENV];
    // The libraries are the program's own, not its launchers'.
    const settings = Object.entries(resolved.env).map(([key, value]) => `${key}=${value}`);
    return [first, [...rest, ...settings, resolved.path, ...args]];
  };
  return {
    cacheDir: tools.cacheDir,
    resolve: (tool) => tools.resolve(tool),
    folder: (name) => tools.folder(name),
    run: async (tool, args, options) => {
      const [path, all] = await command(await tools.resolve(tool), args);
      return runProgram(path, all, options);
    },
    spawn: async (tool, args, options = {}) => {
      const [path, all] = await command(await tools.resolve(tool), args);
      return spawnProgram(path, all, { ...options, env: options.env ?? programEnv() });
    },
  };
}

async function limits({ fileBytesMax, memoryBytesMax = MEMORY_BYTES_MAX }: Confinement): Promise<string[]> {
  if (!(await isThere(PRLIMIT))) return [];
  return [PRLIMIT, `--fsize=${Math.ceil(fileBytesMax)}`, `--as=${memoryBytesMax}`, '--core=0', '--'];
}

async function probe(): Promise<readonly string[]> {
  const usable: string[] = [];
  // From the inside out: without its capabilities a process cannot leave the network any more.
  for (const ways of WALLS) {
    for (const way of ways) {
      const [program = '', ...args] = [...way, ...usable, '/bin/true'];
      if (!(await isThere(program)) || !(await works(program, args))) continue;
      usable.unshift(...way);
      break;
    }
  }
  return usable;
}

async function works(program: string, args: readonly string[]): Promise<boolean> {
  return runProgram(program, args, { timeoutMs: PROBE_TIMEOUT_MS }).then(
    () => true,
    () => false,
  );
}

async function isThere(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
