import { CompressionError } from '../errors';

/** Code of the CompressionError that the call throws; '' when it throws nothing. Other errors pass through. */
export function compressionCodeOf(call: () => unknown): string {
  try {
    call();
    return '';
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
}

/** The same for what a promise rejects with. */
export async function rejectionCodeOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  return outcome === null
    ? ''
    : compressionCodeOf(() => {
        throw outcome.error;
      });
}
