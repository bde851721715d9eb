const NEWLINE = 0x0a;

/** Cuts a byte stream into lines. Holds at most one unfinished line; a longer one makes `push` throw RangeError. */
export class LineSplitter {
  #parts: Buffer[] = [];
  #heldBytes = 0;

  constructor(
    private readonly lineBytesMax: number,
    private readonly onLine: (line: string) => void,
  ) {}

  push(chunk: Buffer): void {
    let at = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      this.#hold(chunk.subarray(at, end));
      at = end + 1;
      const line = Buffer.concat(this.#parts).toString('utf8');
      this.#parts = [];
      this.#heldBytes = 0;
      this.onLine(line);
    }
    // Copied: the chunk may be a small piece of a big shared buffer.
    if (at < chunk.length) this.#hold(Buffer.from(chunk.subarray(at)));
  }

  #hold(bytes: Buffer): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.lineBytesMax)
      throw new RangeError(`A line is longer than ${this.lineBytesMax} bytes.`);
    this.#parts.push(bytes);
  }
}
