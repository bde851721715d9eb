import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import { SESSION_ID_BYTES, UNKNOWN_SESSION } from '@watari/migration-core';
import type { Logger } from 'pino';
import type { z } from 'zod';

import { AgentError, describeError } from '../errors';
import { asLinkError, DataLink } from './data-link';
import { LinkConnection } from './link-connection';

const REDIAL_MS_FIRST = 50;
const REDIAL_MS_MAX = 1_000;

export interface DiallerOptions<Incoming> {
  readonly schema: z.ZodType<Incoming>;
  readonly lossLimitMs: number;
  /** Connections that the link spreads its frames over. */
  readonly streams: number;
  /** Makes a connection to the other agent, whose certificate was checked. */
  readonly dial: () => Promise<TLSSocket>;
  readonly logger: Logger;
}

/**
 * The side of a link that makes its connections, and makes them again when they are lost. Rejects as `dial` does, or
 * with what the other side's first words deserve, when the first connection fails: there is nothing to wait for yet.
 */
export async function openLink<Incoming extends { kind: string }, Outgoing extends { kind: string }>(
  options: DiallerOptions<Incoming>,
): Promise<DataLink<Incoming, Outgoing>> {
  const { schema, lossLimitMs, streams, logger } = options;
  const sessionId = randomBytes(SESSION_ID_BYTES).toString('hex');
  const link = new DataLink<Incoming, Outgoing>({ sessionId, schema, lossLimitMs });
  let epoch = 0;
  const connect = async (): Promise<void> => {
    const socket = await options.dial();
    epoch += 1;
    await greet(link, socket, epoch);
  };
  try {
    await connect();
  } catch (error) {
    link.abort(asLinkError(error));
    throw error;
  }
  let isDialling = false;
  const keepConnected = async (): Promise<void> => {
    if (isDialling) return;
    isDialling = true;
    let waitMs = REDIAL_MS_FIRST;
    while (link.wantsConnection(streams)) {
      try {
        await connect();
        waitMs = REDIAL_MS_FIRST;
      } catch (error) {
        const { code, reason } = describeError(error);
        if (code === 'LINK_UNKNOWN') {
          link.abort(asLinkError(error));
          break;
        }
        logger.debug({ code, reason, waitMs }, 'a connection of a link could not be made');
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        waitMs = Math.min(REDIAL_MS_MAX, waitMs * 2);
      }
    }
    isDialling = false;
  };
  link.events.on('connection-lost', () => void keepConnected());
  void keepConnected();
  return link;
}

/** Resolves once the other side has answered and the connection carries frames. */
function greet<Incoming extends { kind: string }, Outgoing extends { kind: string }>(
  link: DataLink<Incoming, Outgoing>,
  socket: TLSSocket,
  epoch: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const connection = new LinkConnection(socket, epoch, {
      onHello: ({ sessionId, receivedSequence }) => {
        if (sessionId === UNKNOWN_SESSION) {
          connection.end();
          return reject(
            new AgentError(
              'LINK_UNKNOWN',
              'The other agent knows nothing of this move any more: it was restarted, or has given it up.',
              { status: 502 },
            ),
          );
        }
        if (sessionId !== link.sessionId)
          throw new AgentError('LINK_MESSAGE_UNEXPECTED', 'The other agent answered for another link.');
        link.join(connection, receivedSequence);
        resolve();
      },
      onFrame: () => undefined,
      onLost: (why) =>
        reject(
          new AgentError('LINK_LOST', `A connection to the other agent was lost: ${why}.`, { status: 502 }),
        ),
      onBroken: (error) => {
        connection.lose('what came made no sense');
        reject(asLinkError(error));
      },
    });
    connection.write(link.hello(epoch));
  });
}
