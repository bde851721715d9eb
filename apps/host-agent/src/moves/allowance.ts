/** The limit is kept over so long a time. */
const BURST_MS = 20;

/** A token bucket (Turner, "New directions in communications", 1986) over bytes of frames. */
export class Allowance {
  #bytes = 0;
  #atMs: number;

  constructor(
    private readonly bytesPerSecond: number,
    nowMs = performance.now(),
  ) {
    this.#atMs = nowMs;
  }

  spend(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** How long nothing may be sent; 0 when something may. */
  waitMs(nowMs: number): number {
    const burst = (this.bytesPerSecond * BURST_MS) / 1_000;
    this.#bytes = Math.min(burst, this.#bytes + ((nowMs - this.#atMs) * this.bytesPerSecond) / 1_000);
    this.#atMs = nowMs;
    return this.#bytes > 0 ? 0 : Math.max(1, (-this.#bytes * 1_000) / this.bytesPerSecond);
  }
}
