import type { BeforeApplicationShutdown, MessageEvent } from '@nestjs/common';
import { HostAgentError } from '@watari/host-agent-client';
import { Observable, type Subscriber } from 'rxjs';
import type { HostAgents } from '../ports';

/** What a watcher needs to know of a migration's state. */
export interface WatchedMigration {
  readonly status: string;
  readonly phase: string | null;
  readonly assignment: { readonly kind: string; readonly source: { readonly hostId?: string | undefined } };
  readonly moveId: string | null;
}

const POLL_MS = 300;
const OVER: ReadonlySet<string> = new Set(['completed', 'rolled-back', 'stalled']);
const MOVING: ReadonlySet<string> = new Set(['pre-copy', 'switch-over']);

/**
 * A migration as server-sent events: `migration` whenever it changed, and `move` ten times a second while a guest is
 * being moved, straight from the source's agent. Whichever instance of the service is asked can answer.
 */
export class MigrationWatch implements BeforeApplicationShutdown {
  readonly #ends = new Set<() => void>();

  constructor(private readonly agents: HostAgents) {}

  /** Ends after the migration did. `read` rejects when it cannot be told of; so does the stream then. */
  events<View extends WatchedMigration>(read: () => Promise<View>): Observable<MessageEvent> {
    return new Observable((subscriber) => {
      const gone = new AbortController();
      const end = (): void => subscriber.complete();
      this.#ends.add(end);
      this.#follow(read, subscriber, gone.signal).then(
        () => subscriber.complete(),
        (error: unknown) => subscriber.error(error),
      );
      return () => {
        this.#ends.delete(end);
        gone.abort();
      };
    });
  }

  /** Watchers would keep the server from closing. */
  beforeApplicationShutdown(): void {
    for (const end of this.#ends) end();
  }

  async #follow<View extends WatchedMigration>(
    read: () => Promise<View>,
    subscriber: Subscriber<MessageEvent>,
    gone: AbortSignal,
  ): Promise<void> {
    let told = '';
    let move = null as WatchedMove | null;
    try {
      while (!gone.aborted) {
        const view = await read();
        const text = JSON.stringify(view);
        if (text !== told) subscriber.next({ type: 'migration', data: text });
        told = text;
        const moveId = movingAs(view);
        if (move?.moveId !== moveId || move?.isOver) {
          move?.stop();
          move = moveId === null ? null : this.#watchMove(moveId, view.assignment.source.hostId!, subscriber);
        }
        if (OVER.has(view.status)) return;
        await pause(POLL_MS, gone);
      }
    } finally {
      move?.stop();
    }
  }

  #watchMove(moveId: string, hostId: string, subscriber: Subscriber<MessageEvent>): WatchedMove {
    const stop = new AbortController();
    const watched = { moveId, isOver: false, stop: () => stop.abort() };
    this.#passOn(moveId, hostId, stop.signal, subscriber).then(
      () => (watched.isOver = true),
      (error: unknown) => {
        // Not begun yet, or an agent that is away for a moment: looked for again at the next turn.
        watched.isOver = true;
        if (!(error instanceof HostAgentError)) subscriber.error(error);
      },
    );
    return watched;
  }

  async #passOn(
    moveId: string,
    hostId: string,
    signal: AbortSignal,
    subscriber: Subscriber<MessageEvent>,
  ): Promise<void> {
    const agent = await this.agents.open(hostId);
    try {
      for await (const status of agent.watchMove(moveId, { signal }))
        subscriber.next({ type: 'move', data: JSON.stringify(status) });
    } finally {
      agent.close();
    }
  }
}

interface WatchedMove {
  readonly moveId: string;
  readonly isOver: boolean;
  stop(): void;
}

function movingAs({ status, phase, assignment, moveId }: WatchedMigration): string | null {
  const isMoving = status === 'running' && assignment.kind === 'live' && MOVING.has(phase ?? '');
  return isMoving && assignment.source.hostId !== undefined ? moveId : null;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
