import { CheckedKernels } from './checked-kernels';
import { KernelError } from './errors';
import type { KernelMemory } from './kernel-memory';
import { KERNELS_WASM_BASE64 } from './kernels.wasm';
import type { KernelOperations } from './page-kernels';
import { type WasmModule, wasmHost } from './wasm-host';

type KernelExports = KernelOperations & { buildCrc32cTables(): void };

/** Compiled when first asked for and then shared by all instances of the process; null where it cannot run. */
let sharedModule: WasmModule | null | undefined;

/** Whether this process can run the compiled kernels, which need 128-bit SIMD. */
export function hasWasmKernels(): boolean {
  return compiledModule() !== null;
}

/** The kernels as WebAssembly, on a memory made for it (`'wasm'`). Throws `KERNEL_UNAVAILABLE` where it cannot run. */
export class WasmKernels extends CheckedKernels {
  readonly implementation = 'wasm';

  constructor(memory: KernelMemory) {
    super(memory, instantiated(memory));
  }
}

function compiledModule(): WasmModule | null {
  if (sharedModule === undefined) {
    const bytes = Buffer.from(KERNELS_WASM_BASE64, 'base64');
    sharedModule = wasmHost?.validate(bytes) ? new wasmHost.Module(bytes) : null;
  }
  return sharedModule;
}

function instantiated(memory: KernelMemory): KernelOperations {
  const module = compiledModule();
  if (!module || !wasmHost)
    throw new KernelError(
      'KERNEL_UNAVAILABLE',
      'This process has no WebAssembly with SIMD: leave the implementation out to get the TypeScript kernels.',
    );
  if (!memory.wasm)
    throw new KernelError(
      'KERNEL_UNAVAILABLE',
      'Compiled kernels cannot work in a plain buffer: make the memory with the backing "wasm".',
    );
  const { exports } = new wasmHost.Instance(module, { env: { memory: memory.wasm } });
  const kernels = exports as KernelExports;
  kernels.buildCrc32cTables();
  return kernels;
}
