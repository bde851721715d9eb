/** Smaller buffers cost less to make than to look for. */
const SLAB_BYTES_MIN = 64 * 1024;
const KEPT_BYTES_DEFAULT = 32 * 1024 * 1024;

/**
 * Buffers that are used again and again. A large buffer's memory comes fresh from the kernel, a page fault for each of
 * its pages, and goes back with the next collection; at the rate of a migration that costs more than compression.
 *
 * Nothing is lost by not giving a buffer back: it is collected like any other. What `take` gives is not zeroed.
 */
export class Slabs {
  /** By size, which is a power of two. */
  readonly #kept = new Map<number, ArrayBuffer[]>();
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #keptBytes = 0;

  constructor(private readonly keptBytesMax = KEPT_BYTES_DEFAULT) {}

  /** A buffer of that length, in whole its taker's until it is given back. */
  take(length: number): Uint8Array {
    if (length < SLAB_BYTES_MIN) return new Uint8Array(length);
    const size = 2 ** Math.ceil(Math.log2(length));
    let slab = this.#kept.get(size)?.pop();
    if (slab) this.#keptBytes -= size;
    else slab = new ArrayBuffer(size);
    this.#lent.add(slab);
    return new Uint8Array(slab, 0, length);
  }

  /** The taker, and whoever it handed the buffer to, is done with it. What came from elsewhere is passed over. */
  give({ buffer }: Uint8Array): void {
    // Given back twice, it would be lent to two.
    if (!this.#lent.delete(buffer) || this.#keptBytes + buffer.byteLength > this.keptBytesMax) return;
    const slabs = this.#kept.get(buffer.byteLength);
    if (slabs) slabs.push(buffer as ArrayBuffer);
    else this.#kept.set(buffer.byteLength, [buffer as ArrayBuffer]);
    this.#keptBytes += buffer.byteLength;
  }
}
