import { crc32c } from '../crc32c';
import { PAGE_BYTES } from '../qemu-stream';
import { CheckedKernels } from './checked-kernels';
import type { KernelMemory } from './kernel-memory';
import type { KernelOperations } from './page-kernels';
import { applyDeltas, encodeDeltas } from './typescript-deltas';
import { hashPages } from './typescript-hash';
import { PAGE_WORDS, pagesOf } from './typescript-pages';

/**
 * The kernels in plain TypeScript, on any memory: the reference that the compiled ones are held against, and what runs
 * where there is no WebAssembly with SIMD. Gives the same bytes, several times slower.
 */
export class TypeScriptKernels extends CheckedKernels {
  readonly implementation = 'typescript';

  constructor(memory: KernelMemory) {
    super(memory, operationsOn(memory));
  }
}

function operationsOn(memory: KernelMemory): KernelOperations {
  return {
    scanZero: (pointers, count, out) => {
      const { bytes, words } = memory;
      pagesOf(memory, pointers, count).forEach((page, index) => {
        bytes[out + index] = isZero(words, page / 4) ? 1 : 0;
      });
    },
    comparePages: (a, b, count, out) => {
      const { bytes, words } = memory;
      const others = pagesOf(memory, b, count);
      pagesOf(memory, a, count).forEach((page, index) => {
        bytes[out + index] = isEqual(words, page / 4, others[index]! / 4) ? 1 : 0;
      });
    },
    hashPages: (pointers, count, seedLow, seedHigh, out) =>
      hashPages(memory, pagesOf(memory, pointers, count), seedLow, seedHigh, out),
    encodeDeltas: (...at) => encodeDeltas(memory, ...at),
    applyDeltas: (...at) => applyDeltas(memory, ...at),
    copyPages: (from, to, count) => {
      const { bytes } = memory;
      const targets = pagesOf(memory, to, count);
      pagesOf(memory, from, count).forEach((page, index) => {
        bytes.copyWithin(targets[index]!, page, page + PAGE_BYTES);
      });
    },
    crc32c: (pointer, length, sum) => crc32c(memory.bytes.subarray(pointer, pointer + length), sum),
  };
}

function isZero(words: Uint32Array, page: number): boolean {
  for (let at = page; at < page + PAGE_WORDS; at += 1) if (words[at] !== 0) return false;
  return true;
}

function isEqual(words: Uint32Array, a: number, b: number): boolean {
  for (let at = 0; at < PAGE_WORDS; at += 1) if (words[a + at] !== words[b + at]) return false;
  return true;
}
