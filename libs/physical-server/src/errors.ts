export type PhysicalServerErrorCode =
  | 'PHYSICAL_SERVER_UNSUPPORTED_HOST'
  | 'PHYSICAL_SERVER_PACKAGES_UNAVAILABLE'
  | 'PHYSICAL_SERVER_PRIVILEGES_MISSING'
  | 'PHYSICAL_SERVER_SPACE_MISSING'
  | 'PHYSICAL_SERVER_INSTALL_FAILED'
  | 'PHYSICAL_SERVER_BOOT_IMAGE_INVALID'
  | 'PHYSICAL_SERVER_CACHE_DAMAGED';

/** The server's disk could not be made; nothing half made is left, and the message says what to do. */
export class PhysicalServerError extends Error {
  readonly canRetry: boolean;

  constructor(
    readonly code: PhysicalServerErrorCode,
    message: string,
    more: { readonly cause?: unknown; readonly canRetry?: boolean } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'PhysicalServerError';
    this.canRetry = more.canRetry ?? false;
  }
}
