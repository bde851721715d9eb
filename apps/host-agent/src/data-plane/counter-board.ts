import { emptyCounters, type StreamCounters } from '@watari/migration-core';

const NAMES = Object.keys(emptyCounters()) as readonly (keyof StreamCounters)[];

/** Counters that one thread writes and another reads at any time, without a message. */
export class CounterBoard {
  readonly memory: SharedArrayBuffer;
  readonly #values: Float64Array;

  constructor(memory = new SharedArrayBuffer(NAMES.length * Float64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#values = new Float64Array(memory);
  }

  write(counters: StreamCounters): void {
    for (const [index, name] of NAMES.entries()) this.#values[index] = counters[name];
  }

  /** Each as it was last written; of several, some may be newer than others. */
  read(): StreamCounters {
    const counters = emptyCounters();
    for (const [index, name] of NAMES.entries()) counters[name] = this.#values[index]!;
    return counters;
  }
}
