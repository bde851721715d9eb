/** How an attempt at some work failed, in a form that may be recorded and shown. */
export interface CodedFailure {
  readonly code: string;
  readonly reason: string;
  readonly canRetry: boolean;
}

const CODE = /^(?!ERR_)[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/;
const REASON_LETTERS_MAX = 1900;

/**
 * Errors that say what they are (`code` like `DISK_TRUNCATED`, not Node's own `ERR_…`) end an attempt and are
 * told. Undefined for all others: those are bugs or passing faults, and their text is for the log alone.
 */
export function failureOf(error: unknown): CodedFailure | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, canRetry } = error as { code?: unknown; canRetry?: unknown };
  if (typeof code !== 'string' || !CODE.test(code)) return undefined;
  return {
    code,
    reason: error.message.slice(0, REASON_LETTERS_MAX) || code,
    canRetry: canRetry === true,
  };
}

/** What is recorded when a job failed again and again without ever saying why. */
export function abandonedFailure(kind: string, error: unknown): CodedFailure {
  const known = failureOf(error);
  return {
    code: known?.code ?? 'INTERNAL',
    reason: `${kind} failed again and again: ${String(error)}`.slice(0, REASON_LETTERS_MAX),
    canRetry: false,
  };
}
