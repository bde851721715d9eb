export type BusErrorCode =
  | 'BUS_CLOSED'
  | 'BUS_NAME_INVALID'
  | 'BUS_OFFSET_UNKNOWN'
  | 'BUS_OWNERSHIP_LOST'
  | 'BUS_RECORD_INVALID'
  | 'BUS_SCHEMA_NEWER'
  | 'BUS_TOPIC_DIFFERS'
  | 'BUS_TOPIC_UNKNOWN'
  | 'BUS_UNAVAILABLE';

/** `canRetry` tells whether the same call may succeed later without anybody changing anything. */
export class BusError extends Error {
  readonly canRetry: boolean;

  constructor(
    readonly code: BusErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'BusError';
    this.canRetry = code === 'BUS_UNAVAILABLE' || code === 'BUS_OWNERSHIP_LOST';
  }
}

/** What an error says of itself; anything may be thrown, so it may say nothing. */
export function markedOn(error: unknown): { readonly code?: unknown; readonly canRetry?: unknown } {
  return typeof error === 'object' && error !== null ? error : {};
}
