export type HostToolErrorCode =
  | 'HOST_TOOL_MISSING'
  | 'HOST_TOOL_FAILED'
  | 'HOST_TOOL_TIMED_OUT'
  | 'HOST_TOOL_OUTPUT_TOO_LARGE'
  | 'PACKAGES_UNAVAILABLE';

/** A program that we need is not there, or did not do what it was asked for; the message says what to do. */
export class HostToolError extends Error {
  readonly canRetry: boolean;

  constructor(
    readonly code: HostToolErrorCode,
    message: string,
    more: { readonly cause?: unknown; readonly canRetry?: boolean } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'HostToolError';
    this.canRetry = more.canRetry ?? false;
  }
}

/** The program ended otherwise than by status 0. */
export class HostToolFailed extends HostToolError {
  constructor(
    readonly tool: string,
    /** Null when a signal ended it. */
    readonly exitCode: number | null,
    readonly stderrTail: string,
  ) {
    super(
      'HOST_TOOL_FAILED',
      `${tool} ended with ${exitCode === null ? 'a signal' : `status ${exitCode}`}: ${stderrTail.trim().slice(-600) || '(it said nothing)'}`,
    );
    this.name = 'HostToolFailed';
  }
}
