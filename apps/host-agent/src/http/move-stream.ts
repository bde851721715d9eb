import type { ServerResponse } from 'node:http';

import { isMoveOver, type MoveStatus } from '@watari/host-agent-client';

import { LineStream } from './line-stream';

/** As often as the planner looks. */
const WATCH_MS = 100;

/** The move's status ten times a second, and once more when it is over, which ends the stream. */
export function streamMove(read: () => MoveStatus, response: ServerResponse, signal: AbortSignal): void {
  const first = read();
  const stream = new LineStream(response, signal);
  stream.send(first);
  if (isMoveOver(first.state)) return stream.end();
  const ticking = setInterval(() => {
    const status = read();
    const isOver = isMoveOver(status.state);
    if (isOver || !stream.isBehind) stream.send(status);
    if (!isOver) return;
    clearInterval(ticking);
    stream.end();
  }, WATCH_MS);
  signal.addEventListener('abort', () => clearInterval(ticking), { once: true });
}
