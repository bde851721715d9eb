import type { IncomingMessage, ServerResponse } from 'node:http';

import { type Identity, IdSchema } from '@watari/host-agent-client';

import { AgentError } from '../errors';
import { check } from './body';

export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly caller: Identity;
  /** The id at each `:` of the route, checked. */
  readonly ids: readonly string[];
  /** Aborted when the caller is gone. */
  readonly signal: AbortSignal;
}

/** What goes back as JSON; `undefined` body is 204, `streamed` means that the handler has answered by itself. */
export type Answer = { status: number; body?: unknown } | 'streamed';

export interface Route {
  readonly method: string;
  /** Segments; `:` stands for an id. */
  readonly path: string;
  /** Other agents may call it too; else the control plane alone. */
  readonly forAgents?: boolean;
  readonly handle: (call: Call) => Promise<Answer> | Answer;
}

/** Finds the route and the ids in the path. Throws NOT_FOUND, METHOD_NOT_ALLOWED, REQUEST_INVALID. */
export function findRoute(
  routes: readonly Route[],
  method: string,
  pathname: string,
): { route: Route; ids: string[] } {
  const matches = routes.flatMap((route) => {
    const raw = match(route.path, pathname);
    return raw === null ? [] : [{ route, raw }];
  });
  if (matches.length === 0)
    throw new AgentError('NOT_FOUND', `There is nothing at ${pathname.slice(0, 200)}.`, { status: 404 });
  const found = matches.find(({ route }) => route.method === method);
  if (!found)
    throw new AgentError(
      'METHOD_NOT_ALLOWED',
      `${pathname.slice(0, 200)} takes ${matches.map(({ route }) => route.method).join(', ')}.`,
      { status: 405 },
    );
  return { route: found.route, ids: found.raw.map((id) => check(IdSchema, id)) };
}

/** Throws FORBIDDEN. */
export function refuseForbidden(route: Route, caller: Identity): void {
  if (caller.role === 'control-plane' || route.forAgents) return;
  throw new AgentError('FORBIDDEN', `Only the control plane may ${route.method} ${route.path}.`, {
    status: 403,
  });
}

function match(pattern: string, pathname: string): string[] | null {
  const wanted = pattern.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return null;
  const ids: string[] = [];
  for (const [index, segment] of wanted.entries()) {
    if (segment === ':') ids.push(given[index]!);
    else if (segment !== given[index]) return null;
  }
  return ids;
}
