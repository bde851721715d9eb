import { KernelError } from './errors';
import { KernelMemory } from './kernel-memory';
import type { PageKernels } from './page-kernels';
import { TypeScriptKernels } from './typescript-kernels';
import { hasWasmKernels, WasmKernels } from './wasm-kernels';

export interface KernelOptions {
  /** Bound of the memory, from 64 KiB to 4 GiB - 64 KiB; it begins with 64 KiB and grows as asked. */
  readonly maxBytes: number;
  /** Left out: WebAssembly where it has SIMD, else TypeScript. */
  readonly implementation?: 'wasm' | 'typescript';
}

/** Kernels with a memory of their own. Throws `KERNEL_MEMORY_LIMIT` or, for what this machine lacks, `KERNEL_UNAVAILABLE`. */
export function createKernels(options: KernelOptions): PageKernels {
  if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1)
    throw new KernelError(
      'KERNEL_UNAVAILABLE',
      'Page kernels need a little-endian processor: run the agent on x86-64 or ARM64.',
    );
  const implementation = options.implementation ?? (hasWasmKernels() ? 'wasm' : 'typescript');
  return implementation === 'wasm'
    ? new WasmKernels(new KernelMemory(options.maxBytes, 'wasm'))
    : new TypeScriptKernels(new KernelMemory(options.maxBytes, 'buffer'));
}
