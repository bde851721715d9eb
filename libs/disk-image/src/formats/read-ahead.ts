import type { ByteSource } from '../image/byte-source';

const AHEAD_BYTES_MAX = 1024 * 1024;

/**
 * Reads pieces of one length that mostly follow each other: the longer they do, the more is read at once. Pieces
 * all over a file cost no more than themselves.
 */
export class ReadAhead {
  private window: Buffer = Buffer.alloc(0);
  private windowAt = 0;
  private aheadBytes: number;

  constructor(
    private readonly source: ByteSource,
    private readonly pieceBytes: number,
  ) {
    this.aheadBytes = pieceBytes;
  }

  /** The piece at `offset`, as `ByteSource.read` gives it. Valid until the next one is read. */
  async read(offset: number): Promise<Buffer> {
    const at = offset - this.windowAt;
    if (at >= 0 && at + this.pieceBytes <= this.window.length)
      return this.window.subarray(at, at + this.pieceBytes);
    const follows = at === this.window.length;
    this.aheadBytes = follows ? Math.min(AHEAD_BYTES_MAX, this.aheadBytes * 2) : this.pieceBytes;
    const left = this.source.sizeBytes - offset;
    this.window = await this.source.read(offset, Math.max(this.pieceBytes, Math.min(this.aheadBytes, left)));
    this.windowAt = offset;
    return this.window.subarray(0, this.pieceBytes);
  }
}
