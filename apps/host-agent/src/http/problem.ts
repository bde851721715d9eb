import type { ServerResponse } from 'node:http';

import type { Problem } from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { AgentError, describeError } from '../errors';

/** Codes of errors that come from below and are the caller's to mend. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  HOST_TOOL_MISSING: 503,
  QMP_TIMEOUT: 504,
  QMP_CLOSED: 503,
  QMP_UNREACHABLE: 503,
  QMP_REFUSED: 502,
};

/** RFC 9457 document for whatever was thrown. What is no error of ours is logged and not shown. */
export function problemOf(error: unknown, logger: Logger): Problem & { status: number } {
  if (error instanceof AgentError)
    return {
      type: 'about:blank',
      title: titleOf(error.code),
      status: error.status,
      detail: error.message,
      code: error.code,
      canRetry: error.canRetry,
      ...(error.field !== undefined && { field: error.field }),
    };
  const { code, reason } = describeError(error);
  const status = STATUS_OF_CODE[code];
  if (status !== undefined)
    return {
      type: 'about:blank',
      title: titleOf(code),
      status,
      detail: reason,
      code,
      canRetry: status === 504,
    };
  logger.error(
    { error: { code, reason, stack: error instanceof Error ? error.stack : undefined } },
    'request failed',
  );
  return {
    type: 'about:blank',
    title: 'Agent fault',
    status: 500,
    detail: 'The agent failed on this request; its log says more.',
    code: 'AGENT_FAULT',
    canRetry: false,
  };
}

export function sendProblem(response: ServerResponse, problem: Problem & { status: number }): void {
  if (response.headersSent) return void response.destroy();
  const body = JSON.stringify(problem);
  response
    .writeHead(problem.status, {
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
    })
    .end(body);
}

function titleOf(code: string): string {
  const words = code.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
