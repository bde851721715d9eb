/** The little of the WebAssembly interface that the kernels use; Node has it, its type declarations do not. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(blocks: number): number;
}

/** A compiled module, opaque. */
export type WasmModule = object;

export interface WasmHost {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports: { env: { memory: WasmMemory } },
  ) => { readonly exports: unknown };
  readonly Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  readonly RuntimeError: new () => Error;
}

/** Undefined where the process was started without WebAssembly (`--jitless`). */
export const wasmHost: WasmHost | undefined = (globalThis as { WebAssembly?: WasmHost }).WebAssembly;
