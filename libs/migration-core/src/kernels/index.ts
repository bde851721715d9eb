export { KernelError, type KernelErrorCode } from './errors';
export { KERNEL_MEMORY_BYTES_MAX, KERNEL_RESERVED_BYTES, KernelMemory } from './kernel-memory';
export { createKernels, type KernelOptions } from './kernels';
export {
  DELTA_KIND,
  LITERAL_SLACK_BYTES,
  PAGE_HASH_BYTES,
  type PageKernels,
  WORD_MASK_BYTES_MAX,
} from './page-kernels';
export { TypeScriptKernels } from './typescript-kernels';
export { hasWasmKernels, WasmKernels } from './wasm-kernels';
