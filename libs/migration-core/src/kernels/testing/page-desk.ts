import { PAGE_BYTES } from '../../qemu-stream';
import { KernelError } from '../errors';
import { KERNEL_RESERVED_BYTES } from '../kernel-memory';
import type { PageKernels } from '../page-kernels';

/** Lays out pages and arrays in a kernel's memory, one behind the other. For specs and measurements. */
export class PageDesk {
  #end = KERNEL_RESERVED_BYTES;

  constructor(readonly kernels: PageKernels) {}

  /** The address of so many bytes that nothing else uses. */
  room(length: number, alignment = 64): number {
    const at = Math.ceil(this.#end / alignment) * alignment;
    this.#end = at + length;
    const { memory } = this.kernels;
    if (this.#end > memory.byteLength)
      memory.grow(Math.max(this.#end, Math.min(2 * memory.byteLength, memory.maxBytes)));
    return at;
  }

  put(bytes: Uint8Array, alignment = 64): number {
    const at = this.room(bytes.length, alignment);
    this.kernels.memory.bytes.set(bytes, at);
    return at;
  }

  /** A page that begins with these bytes, zeros behind. */
  page(bytes: Uint8Array = new Uint8Array(0)): number {
    const page = new Uint8Array(PAGE_BYTES);
    page.set(bytes);
    return this.put(page);
  }

  words(values: readonly number[]): number {
    const at = this.room(values.length * 4, 4);
    this.kernels.memory.words.set(values, at / 4);
    return at;
  }

  bytesAt(at: number, length: number): Uint8Array {
    return this.kernels.memory.bytes.slice(at, at + length);
  }

  pageAt(at: number): Uint8Array {
    return this.bytesAt(at, PAGE_BYTES);
  }

  wordsAt(at: number, count: number): number[] {
    return Array.from(this.kernels.memory.words.subarray(at / 4, at / 4 + count));
  }
}

/** The three columns that `encodeDeltas` wrote, and what it says of each page. */
export interface EncodedDeltas {
  readonly kinds: number[];
  readonly lineMasks: Uint8Array;
  readonly wordMasks: Uint8Array;
  readonly literals: Uint8Array;
}

/** Calls `encodeDeltas` with columns of its own, as long as they must be and no longer. */
export function encoded(
  desk: PageDesk,
  bases: readonly number[],
  nexts: readonly number[],
  literalBytesMax: number = PAGE_BYTES,
): EncodedDeltas {
  const count = bases.length;
  const kinds = desk.room(count);
  const lineMasks = desk.room(8 * count);
  const used = desk.words([0, 0]);
  const basePointers = desk.words(bases);
  const nextPointers = desk.words(nexts);
  const wordMasks = desk.room(64 * count, 1);
  const literals = desk.room(count * Math.min(literalBytesMax, PAGE_BYTES) + 64, 1);
  desk.kernels.encodeDeltas(
    basePointers,
    nextPointers,
    count,
    literalBytesMax,
    kinds,
    lineMasks,
    wordMasks,
    literals,
    used,
  );
  const [wordMaskBytes, literalBytes] = desk.wordsAt(used, 2);
  return {
    kinds: Array.from(desk.bytesAt(kinds, count)),
    lineMasks: desk.bytesAt(lineMasks, 8 * count),
    wordMasks: desk.bytesAt(wordMasks, wordMaskBytes!),
    literals: desk.bytesAt(literals, literalBytes!),
  };
}

/** Calls `applyDeltas` with copies of the columns; the bytes taken from them, or null when they were too short. */
export function applied(
  desk: PageDesk,
  bases: readonly number[],
  nexts: readonly number[],
  columns: Omit<EncodedDeltas, 'kinds'>,
): { wordMaskBytes: number; literalBytes: number } | null {
  const lineMasks = desk.put(columns.lineMasks);
  const wordMasks = desk.put(columns.wordMasks, 1);
  const literals = desk.put(columns.literals, 1);
  const used = desk.words([0, 0]);
  const basePointers = desk.words(bases);
  const nextPointers = desk.words(nexts);
  const result = desk.kernels.applyDeltas(
    basePointers,
    nextPointers,
    bases.length,
    lineMasks,
    wordMasks,
    wordMasks + columns.wordMasks.length,
    literals,
    literals + columns.literals.length,
    used,
  );
  const [wordMaskBytes, literalBytes] = desk.wordsAt(used, 2);
  return result === 0 ? { wordMaskBytes: wordMaskBytes!, literalBytes: literalBytes! } : null;
}

/** Code of the KernelError that the call throws; '' when it throws nothing. Other errors pass through. */
export function kernelCodeOf(call: () => unknown): string {
  try {
    call();
    return '';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
