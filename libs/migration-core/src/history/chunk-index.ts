/** Where the sealed chunks lie in the file of pages: offset 8, length 4 for each chunk, big-endian; length 0 = not held. */
export class ChunkIndex {
  static readonly ENTRY_BYTES = 12;
  readonly #entries: Buffer;

  private constructor(entries: Buffer) {
    this.#entries = entries;
  }

  static empty(chunkCount: number): ChunkIndex {
    return new ChunkIndex(Buffer.alloc(chunkCount * ChunkIndex.ENTRY_BYTES));
  }

  /** The bytes are kept, not copied. They are trusted: their seal was checked. */
  static of(entries: Buffer): ChunkIndex {
    return new ChunkIndex(entries);
  }

  get bytes(): Buffer {
    return this.#entries;
  }

  set(chunkIndex: number, offset: number, length: number): void {
    this.#entries.writeBigUInt64BE(BigInt(offset), chunkIndex * ChunkIndex.ENTRY_BYTES);
    this.#entries.writeUInt32BE(length, chunkIndex * ChunkIndex.ENTRY_BYTES + 8);
  }

  has(chunkIndex: number): boolean {
    return this.#entries.readUInt32BE(chunkIndex * ChunkIndex.ENTRY_BYTES + 8) > 0;
  }

  get(chunkIndex: number): { readonly offset: number; readonly length: number } {
    const at = chunkIndex * ChunkIndex.ENTRY_BYTES;
    return {
      offset: Number(this.#entries.readBigUInt64BE(at)),
      length: this.#entries.readUInt32BE(at + 8),
    };
  }
}
