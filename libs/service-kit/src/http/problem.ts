import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { Rejected } from '@watari/event-sourcing';
import type { Response } from 'express';
import type { Logger } from 'pino';
import { failureOf } from '../failure';
import { type ZodError, z } from 'zod';

/** A problem document after RFC 9457, with a code that programs can rely on. */
export const ProblemDocument = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});
export type ProblemDocument = z.infer<typeof ProblemDocument>;

/** Thrown by inbound code when the request cannot become a command. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly errors?: readonly { field: string; message: string }[],
  ) {
    super(message);
    this.name = 'Problem';
  }
}

export function invalidCommand(error: ZodError): Problem {
  const errors = error.issues
    .slice(0, 50)
    .map(({ path, message }) => ({ field: path.map(String).join('.') || 'body', message }));
  const [first] = errors;
  return new Problem(
    422,
    'COMMAND_INVALID',
    first ? `${first.field}: ${first.message}` : 'The command is not valid.',
    errors,
  );
}

/** Turns every error of a request into a problem document; what is unexpected is logged and not told. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const problem = toProblem(error);
    if (problem.status >= 500) this.logger.error({ err: error }, 'a request failed');
    const response = host.switchToHttp().getResponse<Response>();
    if (response.headersSent) {
      response.end();
      return;
    }
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
  }
}

export function toProblem(error: unknown): ProblemDocument & Record<string, unknown> {
  if (error instanceof Problem) {
    return document(
      error.status,
      error.code,
      error.message,
      error.errors ? { errors: [...error.errors] } : {},
    );
  }
  if (error instanceof Rejected) return document(409, error.code, error.message, { details: error.details });
  if (error instanceof HttpException) return refusal(error.getStatus(), error.message);
  // What reading the request's body fails with has a status, and a message made for the caller.
  const { statusCode, expose, message } = (error ?? {}) as {
    statusCode?: unknown;
    expose?: unknown;
    message?: unknown;
  };
  if (expose === true && typeof statusCode === 'number' && statusCode < 500)
    return refusal(statusCode, String(message));
  // What a port says of the outside: a disk that cannot be used, an agent that does not answer.
  const failure = failureOf(error);
  if (failure) return document(failure.canRetry ? 503 : 422, failure.code, failure.reason);
  return document(500, 'INTERNAL', 'Something failed on our side; the log has the details.');
}

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'REQUEST_MALFORMED',
  404: 'NOT_FOUND',
  413: 'REQUEST_TOO_LARGE',
  415: 'REQUEST_TYPE_UNSUPPORTED',
};

function refusal(status: number, detail: string): ProblemDocument & Record<string, unknown> {
  return document(status, REFUSALS[status] ?? 'REQUEST_REFUSED', detail);
}

function document(
  status: number,
  code: string,
  detail: string,
  more: Record<string, unknown> = {},
): ProblemDocument & Record<string, unknown> {
  return { type: `urn:watari:problem:${code}`, title: titleOf(status), status, code, detail, ...more };
}

function titleOf(status: number): string {
  if (status === 404) return 'Not found';
  if (status === 409) return 'Not in this state';
  if (status === 401 || status === 403) return 'Not allowed';
  return status >= 500 ? 'Internal error' : 'Invalid request';
}
