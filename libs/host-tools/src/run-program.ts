import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { HostToolError, HostToolFailed } from './errors';

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly cwd?: string;
  /** On top of the caller's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 120 s. */
  readonly timeoutMs?: number;
  /** More output than this is an error; default 16 MiB. */
  readonly stdoutBytesMax?: number;
  /** Statuses that are no failure; default 0 alone. */
  readonly okStatuses?: readonly number[];
  readonly signal?: AbortSignal;
  /** Lines of standard error as they come. */
  readonly onStderrLine?: (line: string) => void;
}

export interface RunResult {
  readonly stdout: Buffer;
  /** Its end, at most 64 KiB. */
  readonly stderr: string;
  readonly status: number;
}

const TIMEOUT_MS = 120_000;
const STDOUT_BYTES_MAX = 16 * 1024 * 1024;
const STDERR_BYTES_KEPT = 64 * 1024;
/** Between asking a program to end and ending it. */
const GRACE_MS = 3000;

/** A program's environment: English and plain, so that what it says can be read. */
export function programEnv(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C', ...more };
}

/** Starts a program with its arguments as they are: no shell is in between. */
export function spawnProgram(
  path: string,
  args: readonly string[],
  options: Omit<SpawnOptions, 'shell'> = {},
): ChildProcess {
  return spawn(path, [...args], { ...options, shell: false });
}

/** Runs a program to its end. Rejects with HostToolFailed or another HostToolError; the program is gone then. */
export async function runProgram(
  path: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const { stdoutBytesMax = STDOUT_BYTES_MAX, timeoutMs = TIMEOUT_MS, okStatuses = [0] } = options;
  const name = path.slice(path.lastIndexOf('/') + 1);
  const child = spawnProgram(path, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: programEnv(options.env),
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  });
  let trouble: Error | undefined;
  const end = (error: Error) => {
    trouble ??= error;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
  };
  const timer = setTimeout(
    () =>
      end(
        new HostToolError('HOST_TOOL_TIMED_OUT', `${name} did not end within ${timeoutMs / 1000} s.`, {
          canRetry: true,
        }),
      ),
    timeoutMs,
  );
  const onAbort = () =>
    end(options.signal?.reason instanceof Error ? options.signal.reason : new Error('Aborted.'));
  options.signal?.addEventListener('abort', onAbort, { once: true });

  const stdout: Buffer[] = [];
  let stdoutBytes = 0;
  child.stdout?.on('data', (chunk: Buffer) => {
    stdoutBytes += chunk.length;
    if (stdoutBytes <= stdoutBytesMax) stdout.push(chunk);
    else
      end(new HostToolError('HOST_TOOL_OUTPUT_TOO_LARGE', `${name} said more than ${stdoutBytesMax} bytes.`));
  });
  const stderr = new Tail(options.onStderrLine);
  child.stderr?.on('data', (chunk: Buffer) => stderr.add(chunk));
  // A program may end without reading all of its input; how it ended tells more than the broken pipe.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.stdin ?? '');

  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', (cause) =>
        reject(
          new HostToolError('HOST_TOOL_MISSING', `${path} cannot be started: ${cause.message}`, { cause }),
        ),
      );
      child.once('close', (code) => resolve(code));
    });
    if (trouble) throw trouble;
    if (status === null || !okStatuses.includes(status))
      throw new HostToolFailed(name, status, stderr.text());
    return { stdout: Buffer.concat(stdout), stderr: stderr.text(), status };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  }
}

class Tail {
  private kept = '';
  private line = '';

  constructor(private readonly onLine: ((line: string) => void) | undefined) {}

  add(chunk: Buffer): void {
    const text = chunk.toString('utf8');
    this.kept = (this.kept + text).slice(-STDERR_BYTES_KEPT);
    if (!this.onLine) return;
    const lines = (this.line + text).split(/[\r\n]+/);
    this.line = (lines.pop() ?? '').slice(-STDERR_BYTES_KEPT);
    for (const line of lines) this.onLine(line);
  }

  text(): string {
    return this.kept;
  }
}
