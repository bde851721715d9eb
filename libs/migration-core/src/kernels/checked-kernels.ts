import { PAGE_BYTES } from '../qemu-stream';
import { KernelError } from './errors';
import { KERNEL_RESERVED_BYTES, type KernelMemory } from './kernel-memory';
import {
  type KernelOperations,
  LITERAL_SLACK_BYTES,
  PAGE_HASH_BYTES,
  type PageKernels,
  WORD_MASK_BYTES_MAX,
} from './page-kernels';

const POINTER_BYTES = 4;
const LINE_MASK_BYTES = 8;
const USED_BYTES = 8;

/** Both kinds of kernels: looks once a call whether the arrays lie in the memory, then calls the operation. */
export abstract class CheckedKernels implements PageKernels {
  abstract readonly implementation: 'wasm' | 'typescript';

  protected constructor(
    readonly memory: KernelMemory,
    private readonly operations: KernelOperations,
  ) {}

  scanZero(pointers: number, count: number, out: number): void {
    this.#checkWords('pointers', pointers, count, POINTER_BYTES);
    this.#check('out', out, count);
    this.#run(() => this.operations.scanZero(pointers, count, out));
  }

  comparePages(a: number, b: number, count: number, out: number): void {
    this.#checkWords('a', a, count, POINTER_BYTES);
    this.#checkWords('b', b, count, POINTER_BYTES);
    this.#check('out', out, count);
    this.#run(() => this.operations.comparePages(a, b, count, out));
  }

  hashPages(pointers: number, count: number, seedLow: number, seedHigh: number, out: number): void {
    this.#checkWords('pointers', pointers, count, POINTER_BYTES);
    this.#checkWords('out', out, count, PAGE_HASH_BYTES);
    this.#run(() => this.operations.hashPages(pointers, count, seedLow, seedHigh, out));
  }

  encodeDeltas(
    bases: number,
    nexts: number,
    count: number,
    literalBytesMax: number,
    kinds: number,
    lineMasks: number,
    wordMasks: number,
    literals: number,
    used: number,
  ): void {
    if (!(literalBytesMax >= 0))
      throw new KernelError(
        'KERNEL_RANGE',
        `\`literalBytesMax\` is ${literalBytesMax}: give 0 or more bytes.`,
      );
    const literalBytes = Math.min(Math.floor(literalBytesMax), PAGE_BYTES);
    this.#checkWords('bases', bases, count, POINTER_BYTES);
    this.#checkWords('nexts', nexts, count, POINTER_BYTES);
    this.#check('kinds', kinds, count);
    this.#checkWords('lineMasks', lineMasks, count, LINE_MASK_BYTES);
    this.#check('wordMasks', wordMasks, count * WORD_MASK_BYTES_MAX);
    this.#check('literals', literals, count * literalBytes + LITERAL_SLACK_BYTES);
    this.#checkWords('used', used, 1, USED_BYTES);
    this.#run(() =>
      this.operations.encodeDeltas(
        bases,
        nexts,
        count,
        literalBytes,
        kinds,
        lineMasks,
        wordMasks,
        literals,
        used,
      ),
    );
  }

  applyDeltas(
    bases: number,
    nexts: number,
    count: number,
    lineMasks: number,
    wordMasks: number,
    wordMasksEnd: number,
    literals: number,
    literalsEnd: number,
    used: number,
  ): number {
    this.#checkWords('bases', bases, count, POINTER_BYTES);
    this.#checkWords('nexts', nexts, count, POINTER_BYTES);
    this.#checkWords('lineMasks', lineMasks, count, LINE_MASK_BYTES);
    this.#check('wordMasks', wordMasks, wordMasksEnd - wordMasks);
    this.#check('literals', literals, literalsEnd - literals);
    this.#checkWords('used', used, 1, USED_BYTES);
    return this.#run(() =>
      this.operations.applyDeltas(
        bases,
        nexts,
        count,
        lineMasks,
        wordMasks,
        wordMasksEnd,
        literals,
        literalsEnd,
        used,
      ),
    );
  }

  copyPages(from: number, to: number, count: number): void {
    this.#checkWords('from', from, count, POINTER_BYTES);
    this.#checkWords('to', to, count, POINTER_BYTES);
    this.#run(() => this.operations.copyPages(from, to, count));
  }

  crc32c(pointer: number, length: number, sum: number): number {
    this.#check('pointer', pointer, length);
    return this.#run(() => this.operations.crc32c(pointer, length, sum)) >>> 0;
  }

  #checkWords(name: string, at: number, count: number, itemBytes: number): void {
    this.#check(name, at, count * itemBytes);
    if (at % 4 !== 0)
      throw new KernelError('KERNEL_RANGE', `\`${name}\` is ${at}: give a multiple of 4, it holds words.`);
  }

  #check(name: string, at: number, length: number): void {
    const limit = this.memory.byteLength;
    // All whole numbers up to 2 ** 53 are exact, so the sum can be neither too small nor negative by overflow.
    if (
      Number.isSafeInteger(at) &&
      Number.isSafeInteger(length) &&
      at >= KERNEL_RESERVED_BYTES &&
      length >= 0 &&
      at + length <= limit
    )
      return;
    throw new KernelError(
      'KERNEL_RANGE',
      `\`${name}\` is ${length} bytes from ${at}: it must lie between ${KERNEL_RESERVED_BYTES} and the memory's end at ${limit}. Let the memory grow first.`,
    );
  }

  /** Pages are not looked at one by one: one outside the memory stops the operation itself. */
  #run<Result>(operation: () => Result): Result {
    try {
      return operation();
    } catch (error) {
      if (error instanceof KernelError) throw error;
      throw new KernelError(
        'KERNEL_RANGE',
        `A page pointer leads out of the kernels' memory of ${this.memory.byteLength} bytes: pass only addresses of whole pages in it.`,
        { cause: error },
      );
    }
  }
}
