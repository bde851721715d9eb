import { LIMITS, PAGE_BYTES } from './qemu-stream';

export interface RamBlock {
  readonly name: string;
  readonly bytes: number;
}

const HIGH = 2 ** 32;

/** The guest's RAM blocks as the stream lists them, and the place of the last page in them. */
export class RamBlocks {
  readonly #blocks: RamBlock[] = [];
  readonly #startBytes: number[] = [];
  readonly #indexByName = new Map<string, number>();
  #claimedBytes = -1;
  #listedBytes = 0;
  #pendingName = '';
  #current = -1;
  #lastPosition = -1;

  /** Complete once the stream has listed them all. */
  get list(): readonly RamBlock[] {
    return this.#blocks;
  }

  /** Index of the block of the last page; -1 before the first. */
  get current(): number {
    return this.#current;
  }

  /** A list of blocks begins that add up to this size. False when it cannot be. */
  begin(high: number, low: number): boolean {
    if (this.#claimedBytes >= 0 || high > LIMITS.addressHighMax) return false;
    this.#claimedBytes = high * HIGH + low;
    return this.#claimedBytes > 0;
  }

  name(bytes: Uint8Array): void {
    this.#pendingName = textOf(bytes);
  }

  size(high: number, low: number): 'more' | 'complete' | 'invalid' {
    const bytes = high * HIGH + low;
    const isSound = high <= LIMITS.addressHighMax && bytes > 0 && bytes % PAGE_BYTES === 0;
    if (!isSound || this.#blocks.length >= LIMITS.ramBlocksMax || this.#indexByName.has(this.#pendingName))
      return 'invalid';
    this.#indexByName.set(this.#pendingName, this.#blocks.length);
    this.#blocks.push({ name: this.#pendingName, bytes });
    this.#startBytes.push(this.#listedBytes);
    this.#listedBytes += bytes;
    if (this.#listedBytes > this.#claimedBytes) return 'invalid';
    return this.#listedBytes === this.#claimedBytes ? 'complete' : 'more';
  }

  /** Index of the block of that name; -1 when there is none. */
  find(name: Uint8Array): number {
    return this.#indexByName.get(textOf(name)) ?? -1;
  }

  /** Notes a page of the block; says whether it lies before the last one, which is where a new round begins. */
  enter(block: number, high: number, low: number): 'later' | 'earlier' | 'outside' {
    const address = high * HIGH + low;
    if (block < 0 || high > LIMITS.addressHighMax || address + PAGE_BYTES > this.#blocks[block]!.bytes)
      return 'outside';
    const position = this.#startBytes[block]! + address;
    const isEarlier = position < this.#lastPosition;
    this.#current = block;
    this.#lastPosition = position;
    return isEarlier ? 'earlier' : 'later';
  }
}

/** Names are compared, never shown as they are; one letter per byte keeps them distinct. */
function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
