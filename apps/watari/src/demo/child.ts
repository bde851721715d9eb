import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CliError } from '../cli/errors';

const START_TIMEOUT_MS = 120_000;
const STOP_PATIENCE_MS = 30_000;
const TAIL_LETTERS = 2000;

/** A process of ours that says in one JSON line on standard output that it is ready. */
export interface ReadyChild<Announcement> {
  readonly name: string;
  readonly announcement: Announcement;
  /** Resolves with how it ended, if it does so before it is stopped. */
  readonly ended: Promise<string>;
  /** Asks it to stop and waits; ends it by force when it does not. */
  stop(): Promise<void>;
}

/** Runs a command of this program as a process of its own. Rejects with what it said when it never gets ready. */
export async function startChild<Announcement>(
  name: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<ReadyChild<Announcement>> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C reaches the whole terminal group; children are stopped by us, in order.
    detached: true,
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-TAIL_LETTERS);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (status, by) => resolve(`${by ?? `status ${status}`}: ${said.trim()}`));
  });
  try {
    const announcement = await firstLine<Announcement>(name, child, ended, signal);
    return { name, announcement, ended, stop: () => stopChild(child, ended) };
  } catch (error) {
    await stopChild(child, ended);
    throw error;
  }
}

async function firstLine<Announcement>(
  name: string,
  child: ChildProcess,
  ended: Promise<string>,
  signal: AbortSignal,
): Promise<Announcement> {
  if (!child.stdout) throw new Error(`${name} has no output.`);
  const lines = createInterface({ input: child.stdout });
  const over = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  return new Promise((resolve, reject) => {
    lines.once('line', (line) => {
      try {
        resolve(JSON.parse(line) as Announcement);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    void ended.then((how) => reject(new CliError('CHILD_FAILED', `${name} did not start (${how})`)));
    over.addEventListener('abort', () => {
      reject(
        signal.aborted
          ? (signal.reason as Error)
          : new CliError('CHILD_FAILED', `${name} was not ready after ${START_TIMEOUT_MS / 1000} s.`),
      );
    });
  });
}

async function stopChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
  await ended;
  clearTimeout(force);
}
