import { PageWireError } from '../errors';

/** Code of the PageWireError that the call throws; '' when it throws nothing. Other errors pass through. */
export function codeOf(call: () => unknown): string {
  try {
    call();
    return '';
  } catch (error) {
    if (error instanceof PageWireError) return error.code;
    throw error;
  }
}
