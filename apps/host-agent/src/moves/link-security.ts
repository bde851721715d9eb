import { connect as tlsConnect, createServer, type Server, type TLSSocket } from 'node:tls';

import { type Address, identityOf, type TlsMaterial } from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { AgentError } from '../errors';

const CONNECT_TIMEOUT_MS = 10_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A move is one connection; more than this at once is nobody's plan. */
const CONNECTIONS_MAX = 64;

/** Connects to another agent's data address. Throws TARGET_UNREACHABLE or TARGET_UNTRUSTED. */
export function connectToAgent(
  address: Address,
  tls: TlsMaterial,
  agentId: string | undefined,
): Promise<{ socket: TLSSocket; agentId: string }> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({
      host: address.host,
      port: address.port,
      minVersion: 'TLSv1.3',
      cert: tls.certificate,
      key: tls.key,
      ca: tls.authority,
      // Who it is stands in the certificate's URI name and is checked below; a host name proves nothing here.
      checkServerIdentity: () => undefined,
    });
    const fail = (error: AgentError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const where = `${address.host}:${address.port}`;
    const timer = setTimeout(
      () => fail(unreachable(where, `no answer within ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    );
    const onError = (error: NodeJS.ErrnoException): void => {
      const isTls = /^ERR_(TLS|SSL|OSSL)|^CERT_|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO|^EPROTO$/.test(
        error.code ?? '',
      );
      fail(isTls ? untrusted(where, error.message) : unreachable(where, error.code ?? error.message));
    };
    socket.once('error', onError);
    socket.once('secureConnect', () => {
      const identity = identityOf(socket.getPeerCertificate());
      if (identity?.role !== 'agent' || (agentId !== undefined && identity.id !== agentId))
        return fail(
          untrusted(where, `its certificate names ${identity?.id ?? 'nobody'}, not ${agentId ?? 'an agent'}`),
        );
      clearTimeout(timer);
      socket.off('error', onError);
      resolve({ socket, agentId: identity.id });
    });
  });
}

/** Accepts other agents, and nobody else. `onPeer` gets a connection whose certificate names the agent. */
export function createDataServer(
  tls: TlsMaterial,
  logger: Logger,
  onPeer: (socket: TLSSocket, agentId: string) => void,
): Server {
  const server = createServer(
    {
      minVersion: 'TLSv1.3',
      cert: tls.certificate,
      key: tls.key,
      ca: tls.authority,
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    },
    (socket) => {
      const identity = identityOf(socket.getPeerCertificate());
      if (identity?.role === 'agent') return onPeer(socket, identity.id);
      logger.warn({ identity }, 'refused a data connection that is no agent');
      socket.destroy();
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('tlsClientError', (error) => logger.warn({ reason: error.message }, 'refused a data connection'));
  return server;
}

function unreachable(where: string, why: string): AgentError {
  return new AgentError(
    'TARGET_UNREACHABLE',
    `The target agent's data address ${where} cannot be reached (${why}). Is it running, and may this host connect there?`,
    { status: 502, canRetry: true },
  );
}

function untrusted(where: string, why: string): AgentError {
  return new AgentError(
    'TARGET_UNTRUSTED',
    `The target agent at ${where} is not who it should be: ${why}. Both agents need certificates of the same authority.`,
    { status: 502 },
  );
}
