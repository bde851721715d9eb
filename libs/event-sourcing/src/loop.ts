import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `step` again and again: at once while it reports work done, else after `idleMs` or when woken.
 * An error is handed to `onError` and followed by a growing pause (to 5 s); the loop goes on until stopped.
 */
export class Loop {
  private readonly stopped = new AbortController();
  private wakeUp = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly options: {
      step: (signal: AbortSignal) => Promise<'worked' | 'idle'>;
      idleMs: number;
      onError: (error: unknown) => void;
    },
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  wake(): void {
    this.wakeUp.abort();
  }

  /** Resolves once the step under way has ended. */
  async stop(): Promise<void> {
    this.stopped.abort();
    this.wake();
    await this.running;
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopped.signal.aborted) {
      this.wakeUp = new AbortController();
      try {
        if ((await this.options.step(this.stopped.signal)) === 'worked') {
          failures = 0;
          continue;
        }
        failures = 0;
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        failures += 1;
        this.options.onError(error);
      }
      const pauseMs = failures === 0 ? this.options.idleMs : Math.min(5000, 100 * 2 ** failures);
      await sleep(pauseMs, undefined, { signal: this.wakeUp.signal }).catch((error: unknown) => {
        if (!this.wakeUp.signal.aborted) throw error;
      });
    }
  }
}
