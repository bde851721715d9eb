import { ApplianceError } from './errors';

interface Waiting {
  readonly memoryMiB: number;
  start(): void;
}

/** Lets several appliances run at once as long as their memory fits; the others wait, in the order they came. */
export class MemoryBudget {
  private usedMiB = 0;
  private waiting: Waiting[] = [];

  constructor(private readonly limitMiB: number) {}

  /** Gives back how to return it. Rejects with APPLIANCE_OVER_BUDGET, or the reason of an abort. */
  async take(memoryMiB: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (memoryMiB > this.limitMiB)
      throw new ApplianceError(
        'APPLIANCE_OVER_BUDGET',
        `An appliance with ${memoryMiB} MiB does not fit into the ${this.limitMiB} MiB that there are for all of them. Give it less.`,
      );
    if (this.waiting.length > 0 || this.usedMiB + memoryMiB > this.limitMiB)
      await this.wait(memoryMiB, signal);
    else this.usedMiB += memoryMiB;
    let isReturned = false;
    return () => {
      if (isReturned) return;
      isReturned = true;
      this.usedMiB -= memoryMiB;
      this.startNext();
    };
  }

  private wait(memoryMiB: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.waiting = this.waiting.filter((one) => one !== entry);
        // A smaller one behind it may fit now.
        this.startNext();
        reject(signal?.reason instanceof Error ? signal.reason : new Error('Aborted.'));
      };
      const entry: Waiting = {
        memoryMiB,
        start: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.waiting.push(entry);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  private startNext(): void {
    for (
      let [next] = this.waiting;
      next && this.usedMiB + next.memoryMiB <= this.limitMiB;
      [next] = this.waiting
    ) {
      this.waiting.shift();
      this.usedMiB += next.memoryMiB;
      next.start();
    }
  }
}
