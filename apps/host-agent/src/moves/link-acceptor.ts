import type { TLSSocket } from 'node:tls';

import { refusalHello, UNKNOWN_SESSION } from '@watari/migration-core';
import type { Logger } from 'pino';
import type { z } from 'zod';

import { describeError } from '../errors';
import { DataLink } from './data-link';
import { LinkConnection } from './link-connection';

/** A link that is over still knows its last connections, so that none of them begins it anew. */
const REMEMBERED_MS = 120_000;

interface KnownLink<Incoming extends { kind: string }, Outgoing extends { kind: string }> {
  readonly agentId: string;
  readonly link: DataLink<Incoming, Outgoing>;
  epoch: number;
}

export interface AcceptorOptions<Incoming extends { kind: string }, Outgoing extends { kind: string }> {
  readonly schema: z.ZodType<Incoming>;
  /** Throws an AgentError for what is not to be read by this schema at all. */
  readonly refuse?: (message: unknown) => void;
  readonly lossLimitMs: number;
  readonly logger: Logger;
  /** A new link of that agent's. */
  readonly onLink: (link: DataLink<Incoming, Outgoing>, agentId: string) => void;
}

/** Takes connections from other agents and finds the links that they belong to. */
export class LinkAcceptor<Incoming extends { kind: string }, Outgoing extends { kind: string }> {
  readonly #links = new Map<string, KnownLink<Incoming, Outgoing>>();

  constructor(private readonly options: AcceptorOptions<Incoming, Outgoing>) {}

  /** A connection whose certificate names the agent. */
  accept(socket: TLSSocket, agentId: string): void {
    const connection: LinkConnection = new LinkConnection(socket, null, {
      onHello: ({ sessionId, receivedSequence }, epoch) => {
        const known = this.#links.get(sessionId) ?? this.#begin(sessionId, agentId, epoch);
        // Another agent's link, one that is over, or a connection older than one that was seen.
        if (!known || known.agentId !== agentId || known.link.isClosed || epoch <= known.epoch) {
          connection.write(refusalHello(epoch, UNKNOWN_SESSION));
          return connection.end();
        }
        known.epoch = epoch;
        connection.write(known.link.hello(epoch));
        known.link.join(connection, receivedSequence);
      },
      onFrame: () => undefined,
      onLost: () => undefined,
      onBroken: (error) => {
        const { code, reason } = describeError(error);
        this.options.logger.warn({ from: agentId, code, reason }, 'refused a data connection');
        connection.lose(reason);
      },
    });
  }

  #begin(sessionId: string, agentId: string, epoch: number): KnownLink<Incoming, Outgoing> | null {
    // Only the first connection of a link begins it: a later one belongs to a link that this agent has lost.
    if (epoch !== 1 || sessionId === UNKNOWN_SESSION) return null;
    const { schema, refuse, lossLimitMs, onLink } = this.options;
    const link = new DataLink<Incoming, Outgoing>({ sessionId, schema, refuse, lossLimitMs });
    const known = { agentId, link, epoch: 0 };
    this.#links.set(sessionId, known);
    link.events.once('closed', () => setTimeout(() => this.#links.delete(sessionId), REMEMBERED_MS).unref());
    onLink(link, agentId);
    return known;
  }
}
