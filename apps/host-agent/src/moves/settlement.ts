import { setTimeout as sleep } from 'node:timers/promises';

import {
  createHostAgentClient,
  HostAgentError,
  type MoveOwnership,
  type TlsMaterial,
} from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { describeError } from '../errors';
import type { Guest } from '../guests/guest';
import type { Peer } from './ownership';

const PAUSE_MS = 250;
const PAUSE_MS_MAX = 5_000;
const ANSWER_TIMEOUT_MS = 5_000;

/**
 * Asks the other agent of a move what it knows, again and again until an answer settles it. Until then the guest's
 * status says what it waits for, and nothing starts.
 */
export class Settlement {
  readonly #stop = new AbortController();
  readonly #underWay = new Set<string>();

  constructor(
    private readonly tls: TlsMaterial,
    private readonly logger: Logger,
  ) {}

  /** `settle` gets each answer and says whether it was the last word; it is tried again when it throws. */
  ask(guest: Guest, moveId: string, peer: Peer, settle: (answer: MoveOwnership) => Promise<boolean>): void {
    if (this.#underWay.has(moveId) || this.#stop.signal.aborted) return;
    this.#underWay.add(moveId);
    this.#loop(guest, moveId, peer, settle)
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted)
          this.logger.error({ moveId, error: describeError(error) }, 'a move was not settled');
      })
      .finally(() => this.#underWay.delete(moveId));
  }

  stop(): void {
    this.#stop.abort();
  }

  async #loop(
    guest: Guest,
    moveId: string,
    peer: Peer,
    settle: (answer: MoveOwnership) => Promise<boolean>,
  ): Promise<void> {
    const client = createHostAgentClient({
      apiUrl: peer.apiUrl,
      agentId: peer.agentId,
      tls: this.tls,
      timeoutMs: ANSWER_TIMEOUT_MS,
    });
    try {
      for (
        let pauseMs = PAUSE_MS;
        !this.#stop.signal.aborted;
        pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2)
      ) {
        try {
          const answer = await client.moveOwnership(moveId);
          this.logger.info({ moveId, standing: answer.standing, of: peer.agentId }, 'asked about a move');
          if (await settle(answer)) {
            guest.waitingFor = null;
            return;
          }
          guest.waitingFor = waiting(moveId, peer, `it answers "${answer.standing}"`);
        } catch (error) {
          const { code, reason } = describeError(error);
          const why =
            error instanceof HostAgentError && code === 'MOVE_UNKNOWN'
              ? 'it knows nothing of that move any more; decide by hand, and delete the guest on the side that is not to run it'
              : reason;
          guest.waitingFor = waiting(moveId, peer, why);
          this.logger.warn({ moveId, code, reason }, 'a move is still to be settled');
        }
        await sleep(pauseMs, undefined, { signal: this.#stop.signal });
      }
    } finally {
      client.close();
    }
  }
}

function waiting(moveId: string, peer: Peer, why: string): string {
  return `Whether this host may run the guest after move ${moveId} is for agent ${peer.agentId} at ${peer.apiUrl} to say: ${why}. Until then it stays paused.`;
}
