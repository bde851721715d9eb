import type { ChildProcess } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { processStartTime } from '@watari/process-identity';

import { AgentError } from '../errors';
import type { QemuPlatform } from './platform';

const STDERR_TAIL_BYTES = 8 * 1024;
const KILL_TIMEOUT_MS = 10_000;
const WATCH_MS = 250;
const START_TIMEOUT_MS = 60_000;

/** One QEMU that outlives the agent; named by pid and start time, so that no other process is ever taken for it. */
export class QemuProcess {
  #watcher: NodeJS.Timeout | null = null;
  #hasEnded = false;

  private constructor(
    readonly pid: number,
    private readonly startTime: string,
    private readonly logFile: string,
    private readonly onEnd: () => void,
  ) {
    this.#watch();
  }

  /**
   * Starts QEMU in a session of its own and waits until it has written its pid file, which it does before it builds
   * the machine. Throws QEMU_START_FAILED with what QEMU said; nothing runs then.
   */
  static async start(
    platform: QemuPlatform,
    args: readonly string[],
    files: { pidFile: string; logFile: string; qmpSocket: string },
    onEnd: () => void,
  ): Promise<QemuProcess> {
    await Promise.all([rm(files.pidFile, { force: true }), rm(files.qmpSocket, { force: true })]);
    const log = await open(files.logFile, 'w', 0o600);
    let child: ChildProcess;
    try {
      child = await platform.tools.spawn('qemu-system-x86_64', args, {
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        cwd: '/',
      });
    } finally {
      await log.close();
    }
    const end: { how?: string } = {};
    child.once('error', (error) => (end.how = error.message));
    child.once('exit', (code, signal) => (end.how ??= signal ?? `status ${code}`));
    child.unref();
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < deadline && end.how === undefined) {
      const pid = await readPid(files.pidFile);
      if (pid !== null && pid === child.pid) {
        const startTime = await processStartTime(pid);
        if (startTime) return new QemuProcess(pid, startTime, files.logFile, onEnd);
      }
      await sleep(20);
    }
    if (end.how === undefined) child.kill('SIGKILL');
    throw startFailed(
      end.how ?? `no sign of life within ${START_TIMEOUT_MS} ms`,
      await readTail(files.logFile),
    );
  }

  /** The running QEMU that wrote the pid file, or null when it is gone. */
  static async adopt(
    files: { pidFile: string; logFile: string },
    onEnd: () => void,
  ): Promise<QemuProcess | null> {
    const pid = await readPid(files.pidFile);
    if (pid === null) return null;
    const startTime = await processStartTime(pid);
    if (!startTime || !(await commandLineHolds(pid, files.pidFile))) return null;
    return new QemuProcess(pid, startTime, files.logFile, onEnd);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async isRunning(): Promise<boolean> {
    return (await processStartTime(this.pid)) === this.startTime;
  }

  /** The end of what QEMU wrote to standard error. */
  stderrTail(): Promise<string> {
    return readTail(this.logFile);
  }

  /** Waits for the end; false when it does not come in time. */
  async waitForEnd(timeoutMs: number): Promise<boolean> {
    const deadline = Date.now() + timeoutMs;
    while (await this.isRunning()) {
      if (Date.now() > deadline) return false;
      await sleep(10);
    }
    return true;
  }

  /** Ends it for certain. Throws QEMU_UNKILLABLE. */
  async kill(): Promise<void> {
    if (await this.isRunning()) killIfThere(this.pid);
    if (await this.waitForEnd(KILL_TIMEOUT_MS)) return;
    throw new AgentError(
      'QEMU_UNKILLABLE',
      `QEMU with pid ${this.pid} does not end; it hangs in the kernel, most likely on its storage.`,
    );
  }

  /** Stops watching; QEMU goes on. */
  release(): void {
    if (this.#watcher) clearInterval(this.#watcher);
    this.#watcher = null;
  }

  #watch(): void {
    // An adopted QEMU is no child of ours, so that its end must be looked for.
    this.#watcher = setInterval(() => {
      void this.isRunning().then((isRunning) => {
        if (isRunning || this.#hasEnded || !this.#watcher) return;
        this.#hasEnded = true;
        this.release();
        this.onEnd();
      });
    }, WATCH_MS);
    this.#watcher.unref();
  }
}

export function startFailed(how: string, said: string): AgentError {
  return new AgentError('QEMU_START_FAILED', `QEMU did not start (${how}): ${said || 'it said nothing'}`, {
    status: 422,
  });
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It ended by itself since it was looked at.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function readPid(path: string): Promise<number | null> {
  try {
    const pid = Number((await readFile(path, 'utf8')).trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function commandLineHolds(pid: number, argument: string): Promise<boolean> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').includes(argument);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return false;
    throw error;
  }
}

async function readTail(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const bytes = Math.min(size, STDERR_TAIL_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, size - bytes);
      return buffer.subarray(0, bytesRead).toString('utf8').trim();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
