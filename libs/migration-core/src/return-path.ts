import { getU16 } from './big-endian';

/*
 * What the target's QEMU tells the source's, on the way back of the same socket: number:2 length:2 payload.
 */
const HEAD_BYTES = 4;
/** The target agrees that the guest is switched over. */
const SWITCH_OVER_AGREED = 7;
/** The longest known message (a bitmap of received pages) names its block and is followed by raw bytes. */
const SELF_CONTAINED: ReadonlySet<number> = new Set([1, 2, 3, 4, 6, SWITCH_OVER_AGREED]);

/**
 * Passes the return path on, but holds back the target's agreement to switch over until `release()`. With QEMU's
 * `switchover-ack` on, the source's QEMU cannot pause the guest before it has that agreement, however little is
 * left to send: so it is we who say when.
 *
 * Unknown messages are passed on with all that follows, and nothing is held any more.
 */
export class ReturnPathGate {
  #released = false;
  #held: Uint8Array | null = null;
  #rest = new Uint8Array(0);
  #isOpaque = false;

  /** `onBytes` gets buffers of its own. */
  constructor(private readonly onBytes: (bytes: Uint8Array) => void) {}

  /** True once the target has agreed; before that a release only takes effect later. */
  get isAgreed(): boolean {
    return this.#held !== null;
  }

  push(chunk: Uint8Array): void {
    if (this.#isOpaque) return this.onBytes(chunk.slice());
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const type = getU16(bytes, at);
      if (!SELF_CONTAINED.has(type)) {
        this.#isOpaque = true;
        this.#rest = new Uint8Array(0);
        return this.onBytes(bytes.slice(at));
      }
      const end = at + HEAD_BYTES + getU16(bytes, at + 2);
      if (end > bytes.length) break;
      const message = bytes.slice(at, end);
      at = end;
      if (type === SWITCH_OVER_AGREED) this.#hold(message);
      else this.onBytes(message);
    }
    this.#rest = bytes.slice(at);
  }

  /** Lets the agreement through, now or when it comes. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (this.#held) this.onBytes(this.#held);
  }

  #hold(message: Uint8Array): void {
    this.#held = message;
    if (this.#released) this.onBytes(message);
  }
}
