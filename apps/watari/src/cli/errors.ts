/**
 * How the command line ends, for scripts:
 *   0 done, 1 failed for a reason of our own, 2 used wrongly, 3 refused by a rule or for bad input,
 *   4 nothing answers, 5 the migration ended otherwise than asked for, 130 interrupted.
 */
export const EXIT = {
  failed: 1,
  usage: 2,
  refused: 3,
  unreachable: 4,
  migrationNotCompleted: 5,
  interrupted: 130,
} as const;

/** An error to be shown to a person: what is wrong and what to do. */
export class CliError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly exitCode: number = EXIT.failed,
    readonly details?: unknown,
  ) {
    super(message);
    this.name = 'CliError';
  }
}

/** What is shown of any error: coded ones speak for themselves, others are bugs and show where they come from. */
export function describeError(error: unknown): {
  code: string;
  message: string;
  details?: unknown;
  exitCode: number;
} {
  if (error instanceof CliError) {
    const { code, message, details, exitCode } = error;
    return { code, message, exitCode, ...(details !== undefined && { details }) };
  }
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (error instanceof Error && typeof code === 'string' && /^[A-Z]+(_[A-Z0-9]+)+$/.test(code))
    return { code, message: String(message), exitCode: EXIT.refused };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'INTERNAL', message: text, exitCode: EXIT.failed };
}
