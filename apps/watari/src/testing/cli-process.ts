import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(__dirname, '../../../..');
const COMMAND = [
  '--conditions=@watari/source',
  '--require',
  join(ROOT, 'tools/workspace/run-typescript.cjs'),
  join(ROOT, 'apps/watari/src/main.ts'),
];

export interface CliEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command of the command line, from source, as a process of its own. */
export async function runCommandLine(args: readonly string[]): Promise<CliEnd> {
  const child = start(args);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stdout, stderr };
}

/** Like `runCommandLine`, with Ctrl-C pressed once standard error holds `text`. */
export async function interruptCommandLine(args: readonly string[], text: string): Promise<CliEnd> {
  const child = start(args);
  let stdout = '';
  let stderr = '';
  let isPressed = false;
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    if (isPressed || !stderr.includes(text)) return;
    isPressed = true;
    child.kill('SIGINT');
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stdout, stderr };
}

export interface RunningUp {
  readonly url: string;
  readonly pid: number;
  /** Sends the signal and waits for the end; answers the exit code. */
  end(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/** `watari up` on a data folder. Rejects with what it said when it does not get ready. */
export async function startUp(dataFolder: string): Promise<RunningUp> {
  const child = start(['up', '--port', '0', '--json', '--data', dataFolder]);
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  if (!child.stdout || child.pid === undefined) throw new Error('The command line did not start.');
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    exited.then(() => undefined),
  ]);
  if (line === undefined) throw new Error(`It ended: ${stderr}`);
  const { url } = JSON.parse(line) as { url: string };
  return {
    url,
    pid: child.pid,
    end: async (signal) => {
      child.kill(signal);
      return (await exited)[0];
    },
  };
}

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [...COMMAND, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, WATARI_URL: '', WATARI_TOKEN: '' },
  });
}
