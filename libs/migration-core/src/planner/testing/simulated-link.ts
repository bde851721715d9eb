interface Piece {
  wireBytes: number;
  streamBytes: number;
}

/** A link that carries in order at a rate, and an acknowledgement that takes its time back. */
export class SimulatedLink {
  streamBytes = 0;
  appliedStreamBytes = 0;
  wireBytes = 0;
  acknowledgedWireBytes = 0;
  readonly #queue: Piece[] = [];
  readonly #returning: (Piece & { readonly atMs: number })[] = [];
  #queuedBytes = 0;

  constructor(
    public bytesPerSecond: number,
    private readonly delayMs: number,
  ) {}

  get unacknowledgedWireBytes(): number {
    return this.wireBytes - this.acknowledgedWireBytes;
  }

  /** Before what is put in now is across. */
  get queuedWireBytes(): number {
    return this.#queuedBytes;
  }

  put(piece: Piece): void {
    this.#queue.push({ ...piece });
    this.#queuedBytes += piece.wireBytes;
    this.wireBytes += piece.wireBytes;
    this.streamBytes += piece.streamBytes;
  }

  run(nowMs: number, ms: number): void {
    let room = (this.bytesPerSecond * ms) / 1_000;
    for (let head = this.#queue[0]; head; head = this.#queue[0]) {
      const share = head.wireBytes <= room ? 1 : room / head.wireBytes;
      const carried = { wireBytes: head.wireBytes * share, streamBytes: head.streamBytes * share };
      this.#returning.push({ ...carried, atMs: nowMs + this.delayMs });
      this.#queuedBytes = Math.max(0, this.#queuedBytes - carried.wireBytes);
      room -= carried.wireBytes;
      if (share < 1) {
        head.wireBytes -= carried.wireBytes;
        head.streamBytes -= carried.streamBytes;
        break;
      }
      this.#queue.shift();
    }
    for (let head = this.#returning[0]; head && head.atMs <= nowMs; head = this.#returning[0]) {
      this.acknowledgedWireBytes += head.wireBytes;
      this.appliedStreamBytes += head.streamBytes;
      this.#returning.shift();
    }
  }
}
