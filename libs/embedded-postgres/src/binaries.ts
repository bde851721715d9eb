import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { npmBinaries } from './npm-package';

/** Programs of one Postgres installation. */
export interface PostgresBinaries {
  readonly origin: 'system' | 'npm';
  /** Holds `postgres` and `initdb`. */
  readonly binDir: string;
  /** The folder that must be copied whole for the programs to work elsewhere; system programs stay put. */
  readonly installationDir?: string;
  readonly major: number;
  /** As the server prints it: `15.18`. */
  readonly version: string;
}

/** xid8 and pg_current_snapshot, on which the event store's reading order rests, came with 13. */
export const POSTGRES_MAJOR_MIN = 13;

const SYSTEM_ROOT = '/usr/lib/postgresql';

/**
 * Installations that can be used, best first: the system's by version, what is on PATH, the npm package.
 * A folder of which `postgres --version` does not run is passed over.
 */
export async function findBinaries(options: {
  cacheDir: string;
  env: NodeJS.ProcessEnv;
  systemRoot?: string;
}): Promise<PostgresBinaries[]> {
  const systemDirs = await systemBinDirs(options.systemRoot ?? SYSTEM_ROOT);
  const pathDirs = (options.env['PATH'] ?? '').split(':').filter((dir) => dir.startsWith('/'));
  const found: PostgresBinaries[] = [];
  for (const binDir of new Set([...systemDirs, ...pathDirs])) {
    const installed = await inspect('system', binDir);
    if (installed) found.push(installed);
  }
  const packaged = await npmBinaries(options.cacheDir);
  if (packaged) {
    const installed = await inspect('npm', packaged.binDir, packaged.installationDir);
    if (installed) found.push(installed);
  }
  return found.filter(({ major }) => major >= POSTGRES_MAJOR_MIN);
}

async function systemBinDirs(root: string): Promise<string[]> {
  const versions = await readdir(root).catch((): string[] => []);
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(root, version, 'bin'));
}

async function inspect(
  origin: PostgresBinaries['origin'],
  binDir: string,
  installationDir?: string,
): Promise<PostgresBinaries | undefined> {
  for (const program of ['postgres', 'initdb']) {
    const isThere = await access(join(binDir, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!isThere) return undefined;
  }
  const version = await printedVersion(join(binDir, 'postgres'));
  if (!version) return undefined;
  return { origin, binDir, installationDir, version, major: Number(version.split('.')[0]) };
}

async function printedVersion(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { cwd: dirname(program) });
    return /\(PostgreSQL\) (\d+[^\s]*)/.exec(stdout)?.[1];
  } catch {
    // It cannot run here (another libc, a missing library): as good as not installed.
    return undefined;
  }
}
