/**
 * A request to a host agent failed. `code` is the agent's own (`GUEST_UNKNOWN`, `MOVE_PAST_RETURN`, ...) or one
 * of the client's: `AGENT_UNREACHABLE`, `AGENT_TIMEOUT`, `AGENT_UNTRUSTED`, `AGENT_REPLY_INVALID`.
 * `canRetry` says that the same request may succeed later; every request of this API may be repeated safely.
 */
export class HostAgentError extends Error {
  readonly code: string;
  readonly canRetry: boolean;
  /** HTTP status, when the agent answered. */
  readonly status?: number;
  /** The field of the request that was refused, when one was. */
  readonly field?: string;

  constructor(
    code: string,
    message: string,
    more: { canRetry?: boolean; status?: number; field?: string; cause?: unknown } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'HostAgentError';
    this.code = code;
    this.canRetry = more.canRetry ?? false;
    if (more.status !== undefined) this.status = more.status;
    if (more.field !== undefined) this.field = more.field;
  }
}
