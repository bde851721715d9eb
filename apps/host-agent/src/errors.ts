/**
 * The agent refuses or cannot do what was asked. `code` and `status` reach the caller in a problem document;
 * `canRetry` says that the same request may succeed later.
 */
export class AgentError extends Error {
  readonly code: string;
  readonly status: number;
  readonly canRetry: boolean;
  readonly field?: string;

  constructor(
    code: string,
    message: string,
    more: { status?: number; field?: string; canRetry?: boolean; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'AgentError';
    this.code = code;
    this.status = more.status ?? 500;
    this.canRetry = more.canRetry ?? false;
    if (more.field !== undefined) this.field = more.field;
  }
}

/** Code and words of whatever was thrown, for logs and statuses. */
export function describeError(error: unknown): { code: string; reason: string } {
  if (!(error instanceof Error)) return { code: 'AGENT_FAULT', reason: String(error) };
  const { code } = error as { code?: unknown };
  return { code: typeof code === 'string' ? code : 'AGENT_FAULT', reason: error.message };
}
