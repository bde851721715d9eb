const CODES = ['ERR_OUT_OF_RANGE', 'ERR_BUFFER_OUT_OF_BOUNDS'];

/** Whether a damaged file led out of its own bytes; what reads it throws RangeError of its own for other bounds. */
export function isOutOfRange(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return error instanceof RangeError || (typeof code === 'string' && CODES.includes(code));
}
