export type HistoryErrorCode =
  | 'HISTORY_KEY_UNUSABLE'
  | 'HISTORY_DESCRIPTION_INVALID'
  | 'HISTORY_TOO_LARGE'
  | 'HISTORY_DISK_FULL'
  | 'HISTORY_NOT_WRITABLE'
  | 'HISTORY_BUSY'
  | 'HISTORY_REMOVED'
  | 'HISTORY_ABANDONED';

/** A history cannot be kept. The move it belongs to goes on: without history a return trip is slower, no more. */
export class HistoryError extends Error {
  constructor(
    readonly code: HistoryErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'HistoryError';
  }
}

/** What a failed write means for the history. */
export function writingError(cause: unknown): HistoryError {
  if (cause instanceof HistoryError) return cause;
  const { code = '', message = String(cause) } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new HistoryError(
      'HISTORY_DISK_FULL',
      `The disk has no room for the history (${code}); it was dropped. Free space or lower the history's byte budget.`,
      { cause },
    );
  return new HistoryError(
    'HISTORY_NOT_WRITABLE',
    `The history could not be written (${message}); it was dropped.`,
    {
      cause,
    },
  );
}
