import { KernelError } from './errors';
import { type WasmMemory, wasmHost } from './wasm-host';

/** Memory grows by so many bytes at a time. */
export const MEMORY_BLOCK_BYTES = 65_536;
/** The most a kernel's memory can hold: pointers have 32 bits. */
export const KERNEL_MEMORY_BYTES_MAX = 2 ** 32 - MEMORY_BLOCK_BYTES;
/**
 * The first bytes of the memory are the kernels' own (tables of the CRC): nothing of the caller's may lie there. So
 * no page has the address 0 either, which stands for "none".
 */
export const KERNEL_RESERVED_BYTES = 16_384;

interface Backing {
  readonly buffer: ArrayBuffer;
  grow(blocks: number): void;
}

/**
 * The memory that kernels work in, all of it addressed by byte from 0. It only grows. Whoever holds a view must take
 * it anew after `grow`: the old one has length 0 then.
 */
export class KernelMemory {
  /** The bound of `grow`. */
  readonly maxBytes: number;
  /** What a WebAssembly instance imports; undefined when the memory is a plain buffer. */
  readonly wasm: WasmMemory | undefined;
  readonly #backing: Backing;
  #bytes: Uint8Array;
  #words: Uint32Array;

  /** `maxBytes` is rounded down to whole blocks of 64 KiB. Sets one block aside; throws `KERNEL_MEMORY_LIMIT`. */
  constructor(maxBytes: number, backing: 'wasm' | 'buffer') {
    if (!(maxBytes >= MEMORY_BLOCK_BYTES && maxBytes <= KERNEL_MEMORY_BYTES_MAX))
      throw new KernelError(
        'KERNEL_MEMORY_LIMIT',
        `Kernels cannot have ${maxBytes} bytes of memory: give from ${MEMORY_BLOCK_BYTES} to ${KERNEL_MEMORY_BYTES_MAX}.`,
      );
    const maximum = Math.floor(maxBytes / MEMORY_BLOCK_BYTES);
    this.maxBytes = maximum * MEMORY_BLOCK_BYTES;
    this.wasm = backing === 'wasm' ? newWasmMemory(maximum) : undefined;
    this.#backing = this.wasm ?? new BufferBacking();
    this.#bytes = new Uint8Array(this.#backing.buffer);
    this.#words = new Uint32Array(this.#backing.buffer);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The same as little-endian words of 32 bits: pointer arrays are written here. */
  get words(): Uint32Array {
    return this.#words;
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  /**
   * Makes the memory at least so many bytes long in all; what it holds stays. Throws `KERNEL_MEMORY_LIMIT` when that
   * is more than the bound or than the machine has.
   */
  grow(bytesTotal: number): void {
    if (bytesTotal <= this.byteLength) return;
    if (!(bytesTotal <= this.maxBytes))
      throw new KernelError(
        'KERNEL_MEMORY_LIMIT',
        `The kernels' memory cannot grow to ${bytesTotal} bytes: its bound is ${this.maxBytes}. Work on fewer pages at a time or give a larger bound.`,
      );
    const blocks = Math.ceil((bytesTotal - this.byteLength) / MEMORY_BLOCK_BYTES);
    try {
      this.#backing.grow(blocks);
    } catch (error) {
      throw new KernelError(
        'KERNEL_MEMORY_LIMIT',
        `The machine has no ${bytesTotal} bytes for the kernels' memory: free some or work on fewer pages at a time.`,
        { cause: error },
      );
    }
    this.#bytes = new Uint8Array(this.#backing.buffer);
    this.#words = new Uint32Array(this.#backing.buffer);
  }
}

function newWasmMemory(maximum: number): WasmMemory {
  if (!wasmHost)
    throw new KernelError(
      'KERNEL_UNAVAILABLE',
      'This process runs without WebAssembly: use the TypeScript kernels or start it without --jitless.',
    );
  return new wasmHost.Memory({ initial: 1, maximum });
}

class BufferBacking implements Backing {
  buffer = new ArrayBuffer(MEMORY_BLOCK_BYTES);

  grow(blocks: number): void {
    const grown = new ArrayBuffer(this.buffer.byteLength + blocks * MEMORY_BLOCK_BYTES);
    new Uint8Array(grown).set(new Uint8Array(this.buffer));
    // As a WebAssembly memory does: a view from before must not go on as if it still were the memory.
    structuredClone(this.buffer, { transfer: [this.buffer] });
    this.buffer = grown;
  }
}
