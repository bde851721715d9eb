/** Chance that can be repeated: the same seed gives the same numbers ("mulberry32"). For specs and measurements. */
export class SeededChance {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** At least 0, below 1. */
  fraction(): number {
    this.#state = (this.#state + STEP) >>> 0;
    return mixed(this.#state) / 4_294_967_296;
  }

  /** A whole number from 0 to below the limit. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  bytes(length: number): Uint8Array {
    const words = new Uint32Array(Math.ceil(length / 4));
    let state = this.#state;
    for (let at = 0; at < words.length; at += 1) {
      state = (state + STEP) >>> 0;
      words[at] = mixed(state);
    }
    this.#state = state;
    return new Uint8Array(words.buffer, 0, length);
  }
}

const STEP = 0x6d2b79f5;

function mixed(state: number): number {
  let bits = Math.imul(state ^ (state >>> 15), state | 1);
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
  return (bits ^ (bits >>> 14)) >>> 0;
}
