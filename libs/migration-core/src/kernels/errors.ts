export type KernelErrorCode = 'KERNEL_RANGE' | 'KERNEL_MEMORY_LIMIT' | 'KERNEL_UNAVAILABLE';

/**
 * A kernel was called with something it cannot work on: a fault of the caller, never of what a peer sent. What the
 * call writes to may be partly written.
 */
export class KernelError extends Error {
  constructor(
    readonly code: KernelErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'KernelError';
  }
}
