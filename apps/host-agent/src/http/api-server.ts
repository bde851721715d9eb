import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';

import { identityOf, type TlsMaterial } from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { AgentError } from '../errors';
import { problemOf, sendProblem } from './problem';
import { findRoute, refuseForbidden, type Route } from './router';

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_MAX = 512;

/** The agent's API: HTTPS, client certificates of our authority alone, problem documents for all that fails. */
export function createApiServer(tls: TlsMaterial, routes: readonly Route[], logger: Logger): Server {
  const server = createServer(
    {
      minVersion: 'TLSv1.3',
      cert: tls.certificate,
      key: tls.key,
      ca: tls.authority,
      requestCert: true,
      rejectUnauthorized: true,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
    },
    (request, response) => {
      answer(routes, request, response).catch((error: unknown) =>
        sendProblem(response, problemOf(error, logger)),
      );
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('tlsClientError', (error) => logger.warn({ reason: error.message }, 'refused an API connection'));
  return server;
}

async function answer(
  routes: readonly Route[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const caller = identityOf((request.socket as TLSSocket).getPeerCertificate());
  if (!caller)
    throw new AgentError('FORBIDDEN', 'The certificate names no identity of ours.', { status: 403 });
  const [pathname = ''] = (request.url ?? '').split('?');
  const { route, ids } = findRoute(routes, request.method ?? '', pathname);
  refuseForbidden(route, caller);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const reply = await route.handle({ request, response, caller, ids, signal: gone.signal });
  if (reply === 'streamed') return;
  if (reply.body === undefined) return void response.writeHead(reply.status).end();
  const body = JSON.stringify(reply.body);
  response
    .writeHead(reply.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    })
    .end(body);
}
