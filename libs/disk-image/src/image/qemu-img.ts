import { once } from 'node:events';
import { type HostTools, HostToolError, HostToolFailed, programEnv } from '@watari/host-tools';

export interface QemuImgOptions {
  readonly tools: HostTools;
  /** Images are named as files of this folder (`./name`): qemu-img takes other names with a colon for addresses. */
  readonly folder: string;
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal;
  /** Longer without any progress, and it is ended. */
  readonly stallMs?: number;
}

const STALL_MS = 10 * 60_000;
const GRACE_MS = 3000;
const SAID_BYTES_MAX = 64 * 1024;

/**
 * Runs `qemu-img convert -p` and follows its progress. Rejects with HostToolError, or the reason of an abort; the
 * program has ended then, and what it had written may be there in part.
 */
export async function convertByQemuImg(args: readonly string[], options: QemuImgOptions): Promise<void> {
  const { tools, folder, onProgress, signal, stallMs = STALL_MS } = options;
  signal?.throwIfAborted();
  const child = await tools.spawn('qemu-img', ['convert', '-p', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: programEnv(),
  });
  let trouble: Error | undefined;
  const end = (error: Error): void => {
    trouble ??= error;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), GRACE_MS).unref();
  };
  const onAbort = (): void => end(signal?.reason instanceof Error ? signal.reason : new Error('Aborted.'));
  signal?.addEventListener('abort', onAbort, { once: true });
  const stalled = setTimeout(
    () =>
      end(
        new HostToolError('HOST_TOOL_TIMED_OUT', `qemu-img made no progress for ${stallMs / 1000} s.`, {
          canRetry: true,
        }),
      ),
    stallMs,
  );
  let last = -1;
  child.stdout?.on('data', (chunk: Buffer) => {
    const percent = [...chunk.toString('latin1').matchAll(/(\d{1,3}(?:\.\d+)?)\/100%/g)].at(-1)?.[1];
    if (percent === undefined || Number(percent) === last) return;
    last = Number(percent);
    stalled.refresh();
    onProgress?.(Math.min(last / 100, 1));
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-SAID_BYTES_MAX);
  });
  try {
    const [status] = (await once(child, 'close')) as [number | null];
    if (trouble) throw trouble;
    if (status !== 0) throw new HostToolFailed('qemu-img', status, said);
  } finally {
    clearTimeout(stalled);
    signal?.removeEventListener('abort', onAbort);
  }
}
