import { PAGE_BYTES } from '../../qemu-stream';

export interface GuestShape {
  readonly memoryBytes: number;
  readonly zeroShare: number;
  /** The part that most writes hit. */
  readonly hotBytes: number;
  readonly pageWritesPerSecond: number;
  /** Of the writes, those into the hot part; the others hit any page. */
  readonly hotWriteShare: number;
  /** Bytes on the link for a page never sent before. */
  readonly firstPageWireBytes: number;
  /** And for one that was: small where little of it changed. */
  readonly againPageWireBytes: number;
}

interface Pages {
  hot: number;
  cold: number;
}

/** What left QEMU. */
export interface Sent {
  readonly pages: number;
  readonly zeroPages: number;
  readonly isFirst: boolean;
  readonly streamBytes: number;
  readonly wireBytes: number;
}

const RECORD_BYTES = PAGE_BYTES + 8;
const ZERO_RECORD_BYTES = 9;

/**
 * A guest and QEMU's dirty bitmap in expected values: no chance, so that a spec tells the same story each time. QEMU
 * sends what a pass found, reads the bitmap again when less than its threshold is left, and stops the guest when
 * what it then finds is below it (`migration/migration.c`).
 */
export class SimulatedGuest {
  throttlePercent = 0;
  rounds = 1;
  dirtyBytesPerSecond = 0;
  /** Pages written since the bitmap was read. */
  readonly #written: Pages = { hot: 0, cold: 0 };
  /** Pages of this pass to send again. */
  readonly #again: Pages = { hot: 0, cold: 0 };
  /** Pages of the first pass. */
  #firstPages: number;
  #zeroPages: number;
  #periodMs = 0;
  #periodPages = 0;

  constructor(public shape: GuestShape) {
    const pages = shape.memoryBytes / PAGE_BYTES;
    this.#zeroPages = pages * shape.zeroShare;
    this.#firstPages = pages - this.#zeroPages;
  }

  get remainingBytes(): number {
    return (this.#firstPages + this.#zeroPages + this.#again.hot + this.#again.cold) * PAGE_BYTES;
  }

  /** Wire bytes of the rest, were the guest stopped now. */
  get restWireBytes(): number {
    return (this.#again.hot + this.#again.cold) * this.shape.againPageWireBytes;
  }

  run(ms: number): void {
    const { hotBytes, memoryBytes, pageWritesPerSecond, hotWriteShare } = this.shape;
    const writes = (pageWritesPerSecond * ms * (1 - this.throttlePercent / 100)) / 1_000;
    const hit = (part: keyof Pages, pages: number, share: number): void => {
      if (pages <= 0) return;
      this.#written[part] += (pages - this.#written[part]) * -Math.expm1((-writes * share) / pages);
    };
    hit('hot', hotBytes / PAGE_BYTES, hotWriteShare);
    hit('cold', (memoryBytes - hotBytes) / PAGE_BYTES, 1 - hotWriteShare);
    this.#periodMs += ms;
  }

  /** Takes pages of at most so much stream. */
  send(streamBytesMax: number): Sent {
    if (this.#firstPages + this.#zeroPages > 0) return this.#sendFirst(streamBytesMax);
    const all = this.#again.hot + this.#again.cold;
    const pages = Math.min(all, streamBytesMax / RECORD_BYTES);
    const kept = all > 0 ? 1 - pages / all : 0;
    this.#again.hot *= kept;
    this.#again.cold *= kept;
    return {
      pages,
      zeroPages: 0,
      isFirst: false,
      streamBytes: pages * RECORD_BYTES,
      wireBytes: pages * this.shape.againPageWireBytes,
    };
  }

  /** QEMU's look at what is left; true when it would stop the guest. */
  look(thresholdBytes: number): boolean {
    if (this.remainingBytes > 0 && this.remainingBytes >= thresholdBytes) return false;
    this.#readBitmap();
    return this.remainingBytes < Math.max(1, thresholdBytes);
  }

  #readBitmap(): void {
    this.rounds += 1;
    for (const [part, bytes] of [
      ['hot', this.shape.hotBytes],
      ['cold', this.shape.memoryBytes - this.shape.hotBytes],
    ] as const) {
      const pages = bytes / PAGE_BYTES;
      const found = pages > 0 ? this.#written[part] * (1 - this.#again[part] / pages) : 0;
      this.#again[part] += found;
      this.#written[part] = 0;
      this.#periodPages += found;
    }
    if (this.#periodMs < 1_000) return;
    this.dirtyBytesPerSecond = (this.#periodPages * PAGE_BYTES * 1_000) / this.#periodMs;
    this.#periodMs = 0;
    this.#periodPages = 0;
  }

  #sendFirst(streamBytesMax: number): Sent {
    const all = this.#firstPages + this.#zeroPages;
    const bytes = this.#firstPages * RECORD_BYTES + this.#zeroPages * ZERO_RECORD_BYTES;
    const share = Math.min(1, streamBytesMax / bytes);
    const zeroPages = this.#zeroPages * share;
    const wireBytes = this.#firstPages * share * this.shape.firstPageWireBytes;
    // Not a remainder of rounding: the pass has to end.
    this.#firstPages = share === 1 ? 0 : this.#firstPages * (1 - share);
    this.#zeroPages = share === 1 ? 0 : this.#zeroPages * (1 - share);
    return { pages: all * share, zeroPages, isFirst: true, streamBytes: bytes * share, wireBytes };
  }
}
