export type ApplianceErrorCode =
  | 'APPLIANCE_UNAVAILABLE'
  | 'APPLIANCE_DIED'
  | 'APPLIANCE_TIMED_OUT'
  | 'APPLIANCE_ANSWER_INVALID'
  | 'APPLIANCE_CLOSED'
  | 'APPLIANCE_OVER_BUDGET';

/**
 * The small guest that looks into disks did not do its work; the message says what to do. What is wrong with the
 * disk itself is told by DiskUnusable. The host's kernel has touched nothing of the disk.
 */
export class ApplianceError extends Error {
  readonly canRetry: boolean;

  constructor(
    readonly code: ApplianceErrorCode,
    message: string,
    options: ErrorOptions & { canRetry?: boolean } = {},
  ) {
    super(message, options);
    this.name = 'ApplianceError';
    this.canRetry = options.canRetry ?? false;
  }
}
