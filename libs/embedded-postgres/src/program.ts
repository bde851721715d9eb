import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PostgresUnavailable } from './errors';
import type { Identity } from './identity';

const INITDB_TIMEOUT_MS = 120_000;
const OUTPUT_CHARS_MAX = 4000;

/** Only what the programs need: a PGPORT or PGOPTIONS of the caller must not reach them. */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

/** Runs a program of the installation to its end; `dataFd` is its descriptor 3. Rejects with what it printed last. */
export function runProgram(
  identity: Identity,
  program: 'initdb',
  dataFd: number,
  args: readonly string[],
): Promise<void> {
  const [file = '', ...argv] = [...identity.prefix, join(identity.binDir, program), ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(file, argv, {
      ...identity.spawnAs,
      cwd: '/',
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe', dataFd],
      timeout: INITDB_TIMEOUT_MS,
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    child.once('error', reject);
    child.once('close', (status, signal) => {
      if (status === 0) resolve();
      else
        reject(
          new PostgresUnavailable(
            'POSTGRES_START_FAILED',
            `${program} ended with ${signal ?? `status ${status}`}: ${output.trim().slice(-1500)}`,
          ),
        );
    });
  });
}

/**
 * Starts the server in a session of its own, so that a Ctrl-C at the terminal reaches us and not it, and bound
 * to our life by setpriv where that exists: when we are killed, the kernel sends it the signal for a fast
 * shutdown. Where setpriv is missing, the next start finds the orphan and stops it.
 */
export function spawnServer(
  identity: Identity,
  options: { args: readonly string[]; dataFd: number; logFd: number },
): ChildProcess {
  const leash = hasSetpriv() ? ['setpriv', '--pdeathsig', 'INT', '--'] : [];
  const [file = '', ...argv] = [
    ...identity.prefix,
    ...leash,
    join(identity.binDir, 'postgres'),
    ...options.args,
  ];
  return spawn(file, argv, {
    ...identity.spawnAs,
    cwd: '/',
    env: environment(),
    stdio: ['ignore', options.logFd, options.logFd, options.dataFd],
    detached: true,
  });
}

function hasSetpriv(): boolean {
  return (process.env['PATH'] ?? '').split(':').some((dir) => existsSync(join(dir, 'setpriv')));
}
