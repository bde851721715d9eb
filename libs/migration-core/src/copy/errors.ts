export type PageCopyErrorCode =
  'COPY_GIVEN_UP' | 'COPY_BLOCKS_DIFFER' | 'COPY_STREAM_INVALID' | 'COPY_SOURCE_CHANGED' | 'COPY_LOST';

/** A copy cannot go on; the source is as it was. */
export class PageCopyError extends Error {
  constructor(
    readonly code: PageCopyErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'PageCopyError';
  }
}
