import { setTimeout as sleep } from 'node:timers/promises';

/** `soon`: there is something that cannot be taken yet, such as a row below a transaction that is still running. */
export type Stepped = 'worked' | 'soon' | 'idle';

const SOON_MS = 4;

/**
 * Runs `step` again and again: at once while it reports work done, in a few milliseconds when it says that there
 * will be some soon, else after `idleMs` or when woken.
 * An error is handed to `onError` and followed by a growing pause (to 5 s); the loop goes on until stopped.
 */
export class Loop {
  private readonly stopped = new AbortController();
  private wakeUp = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly options: {
      step: (signal: AbortSignal) => Promise<Stepped>;
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
      let stepped: Stepped = 'idle';
      try {
        stepped = await this.options.step(this.stopped.signal);
        failures = 0;
        if (stepped === 'worked') continue;
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        failures += 1;
        this.options.onError(error);
      }
      const calmMs = stepped === 'soon' ? SOON_MS : this.options.idleMs;
      const pauseMs = failures === 0 ? calmMs : Math.min(5000, 100 * 2 ** failures);
      await sleep(pauseMs, undefined, { signal: this.wakeUp.signal }).catch((error: unknown) => {
        if (!this.wakeUp.signal.aborted) throw error;
      });
    }
  }
}
