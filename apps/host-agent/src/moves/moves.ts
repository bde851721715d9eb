import type { ReadStream } from 'node:fs';
import type { TLSSocket } from 'node:tls';

import {
  type Identity,
  isMoveOver,
  type MoveOwnership,
  type MoveRequest,
  type MoveStatus,
  type TlsMaterial,
} from '@watari/host-agent-client';
import type { Logger } from 'pino';

import type { DataPlane } from '../data-plane/data-plane';
import { AgentError, describeError } from '../errors';
import type { Guest } from '../guests/guest';
import type { Guests } from '../guests/guests';
import type { QemuPlatform } from '../qemu/platform';
import type { StateFolders } from '../state/folders';
import type { DataLink } from './data-link';
import { MoveStore } from './move-store';
import type { SourceRecord } from './move-record';
import { standingOf, stepAfterRestart } from './ownership';
import { settleWithSource, settleWithTarget } from './settle';
import { Settlement } from './settlement';
import { LinkAcceptor } from './link-acceptor';
import { type SourceMessage, SourceMessageSchema, type TargetMessage } from './messages';
import { refuseOtherVersion } from './protocol-version';
import { type LinkSettings, SourceMove } from './source-move';
import { Experience } from './steering';
import { takeBack } from './take-back';
import { TargetMove } from './target-move';
import type { Traces } from './traces';

export interface MovesSurroundings {
  readonly agentId: string;
  readonly guests: Guests;
  readonly platform: QemuPlatform;
  readonly folders: StateFolders;
  readonly plane: DataPlane;
  readonly traces: Traces;
  /** Memory that a move may take for what is held of the guest's. */
  readonly mirrorBytesMax: number;
  readonly link: LinkSettings;
  /** A move from here is over, whatever became of it. */
  readonly onEnded: (status: MoveStatus) => void;
  readonly tls: TlsMaterial;
  readonly bootId: string;
  readonly logger: Logger;
  /** Known once the agent listens. */
  readonly apiUrl: () => string;
}

interface Running {
  readonly move: SourceMove;
  readonly over: Promise<void>;
}

/** All moves from and to this agent. */
export class Moves {
  readonly #store: MoveStore;
  readonly #settlement: Settlement;
  /** Moves from here that are under way, by moveId. */
  readonly #running = new Map<string, Running>();
  readonly #incoming = new Set<TargetMove>();
  readonly #acceptor: LinkAcceptor<SourceMessage, TargetMessage>;
  readonly #experience = new Experience();

  constructor(private readonly around: MovesSurroundings) {
    this.#store = new MoveStore(around.folders, around.logger);
    this.#settlement = new Settlement(around.tls, around.logger);
    this.#acceptor = new LinkAcceptor({
      schema: SourceMessageSchema,
      refuse: refuseOtherVersion,
      lossLimitMs: around.link.lossLimitMs,
      logger: around.logger,
      onLink: (link, agentId) => this.#receive(link, agentId),
    });
  }

  /** Reads what is known of former moves, before any question about them is answered. */
  load(): Promise<void> {
    return this.#store.load();
  }

  /** Settles what a former agent left half done. Guests have been adopted. */
  async settleAll(): Promise<void> {
    for (const guest of this.around.guests.all()) {
      try {
        await this.#settleGuest(guest);
      } catch (error) {
        guest.waitingFor = describeError(error).reason;
        this.around.logger.error(
          { guestId: guest.guestId, error: describeError(error) },
          'a move was not settled',
        );
      }
    }
    for (const record of this.#store.all()) {
      if (record.role !== 'source' || isMoveOver(record.status.state)) continue;
      const guest = this.around.guests.find(record.request.guestId);
      const ownership = guest?.ownership;
      const isOfMove = ownership && 'moveId' in ownership && ownership.moveId === record.request.moveId;
      if (isOfMove && ownership.state === 'handed-over') continue;
      if (isOfMove && ownership.state === 'moved-away') await this.#finish(record, { state: 'completed' });
      else
        await this.#finish(record, {
          state: 'failed',
          code: 'AGENT_RESTARTED',
          reason: 'The source agent was restarted during the move. The guest stayed on the source.',
        });
    }
  }

  /** Begins the move, or answers the one that has this id. Throws when the guest cannot be moved as it is. */
  async start(request: MoveRequest): Promise<MoveStatus> {
    const known = this.#store.get(request.moveId);
    if (known) {
      if (known.role === 'source' && known.request.guestId === request.guestId)
        return this.get(request.moveId);
      throw new AgentError('MOVE_CONFLICT', `Move ${request.moveId} is another one. Choose a new id.`, {
        status: 409,
        field: 'moveId',
      });
    }
    const guest = this.around.guests.get(request.guestId);
    this.#refuseUnmovable(guest);
    const move: SourceMove = new SourceMove(request, guest, {
      tls: this.around.tls,
      apiUrl: this.around.apiUrl(),
      bootId: this.around.bootId,
      qemuVersion: this.around.platform.qemuVersion,
      experience: this.#experience,
      plane: this.around.plane,
      traces: this.around.traces,
      mirrorBytesMax: this.around.mirrorBytesMax,
      link: this.around.link,
      outSocket: this.around.folders.socket(guest.guestId, 'out'),
      logger: this.around.logger.child({ moveId: request.moveId, guestId: request.guestId }),
      save: (more) => this.#store.put({ role: 'source', request, status: move.status(), ...more }),
    });
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    // Taken before the first wait, so that a second request for the guest finds it.
    this.#running.set(request.moveId, { move, over: begun.then(() => this.#see(request, guest, move)) });
    try {
      await this.#store.put({ role: 'source', request, status: move.status() });
    } catch (error) {
      this.#running.delete(request.moveId);
      throw error;
    }
    begin();
    return move.status();
  }

  /** Throws MOVE_UNKNOWN. */
  get(moveId: string): MoveStatus {
    const running = this.#running.get(moveId);
    if (running) return running.move.status();
    return this.#record(moveId).status;
  }

  /** Moves from here that are under way. */
  active(): MoveStatus[] {
    return [...this.#running.values()].map(({ move }) => move.status());
  }

  /** What the planner saw and decided in a move, as JSON lines. Throws MOVE_UNKNOWN, TRACE_UNKNOWN. */
  async openTrace(moveId: string): Promise<ReadStream> {
    this.get(moveId);
    return this.around.traces.open(moveId);
  }

  /** Throws MOVE_UNKNOWN, MOVE_NOT_READY (can be retried), MOVE_OVER. */
  switchOver(moveId: string): MoveStatus {
    const running = this.#running.get(moveId);
    const status = this.get(moveId);
    if (status.state === 'switching' || status.state === 'completed') return status;
    if (!running || isMoveOver(status.state)) throw over(status);
    if (status.state !== 'ready-to-switch')
      throw new AgentError(
        'MOVE_NOT_READY',
        `Move ${moveId} still copies; about ${status.expectedDowntimeMs ?? 'an unknown number of'} ms of pause now.`,
        { status: 409, canRetry: true },
      );
    running.move.beginSwitchOver();
    return running.move.status();
  }

  /** Gives the move up and waits until the guest goes on here. Throws MOVE_PAST_RETURN, MOVE_OVER, MOVE_UNKNOWN. */
  async cancel(moveId: string): Promise<MoveStatus> {
    const running = this.#running.get(moveId);
    if (running && !running.move.isCommitted) {
      running.move.cancel(new AgentError('MOVE_CANCELLED', 'The move was cancelled on request.'));
      await running.over;
    }
    const status = this.get(moveId);
    if (status.state === 'cancelled') return status;
    if (status.state === 'failed') throw over(status);
    throw new AgentError(
      'MOVE_PAST_RETURN',
      `Move ${moveId} has handed the guest over; move it back instead.`,
      { status: 409 },
    );
  }

  /** What this agent answers about who may run the guest. Throws MOVE_UNKNOWN, FORBIDDEN for a stranger. */
  ownership(moveId: string, caller: Identity): MoveOwnership {
    const { agentId, guests } = this.around;
    for (const guest of guests.all()) {
      const standing = standingOf(guest.ownership, moveId);
      if (standing === null) continue;
      if ('peer' in guest.ownership) refuseStranger(caller, guest.ownership.peer.agentId);
      const resumedAt = guest.ownership.state === 'owned' ? guest.ownership.resumedAt : undefined;
      return {
        moveId,
        agentId,
        standing,
        ...(standing === 'owned' && { forwards: guest.forwards }),
        ...(resumedAt !== undefined && { resumedAt }),
      };
    }
    const record = this.#store.get(moveId);
    if (!record) throw unknown(moveId);
    if (record.role === 'target') {
      refuseStranger(caller, record.peer.agentId);
      return { moveId, agentId, standing: record.standing };
    }
    refuseStranger(caller, record.request.target.agentId);
    if (!isMoveOver(record.status.state)) return { moveId, agentId, standing: 'undecided' };
    return { moveId, agentId, standing: record.status.state === 'completed' ? 'handed-over' : 'kept' };
  }

  /** A connection of another agent on the data address. */
  accept(socket: TLSSocket, agentId: string): void {
    this.#acceptor.accept(socket, agentId);
  }

  #receive(link: DataLink<SourceMessage, TargetMessage>, agentId: string): void {
    const move = new TargetMove(link, agentId, {
      guests: this.around.guests,
      platform: this.around.platform,
      bootId: this.around.bootId,
      plane: this.around.plane,
      mirrorBytesMax: this.around.mirrorBytesMax,
      logger: this.around.logger.child({ from: agentId }),
      inSocket: (guestId) => this.around.folders.socket(guestId, 'in'),
      discard: (guest) => this.#discard(guest),
      askSource: (guest) => this.#askSource(guest),
    });
    this.#incoming.add(move);
    link.events.once('closed', () => this.#incoming.delete(move));
  }

  /** Before a guest is deleted: ends its move. Throws GUEST_MOVING when that is past its return. */
  async beforeDelete(guest: Guest): Promise<void> {
    for (const { move, over } of this.#running.values()) {
      if (move.status().guestId !== guest.guestId) continue;
      if (move.isCommitted)
        throw new AgentError('GUEST_MOVING', `Guest ${guest.guestId} is being handed over; wait for it.`, {
          status: 409,
          canRetry: true,
        });
      move.cancel(new AgentError('GUEST_DELETED', 'The guest was deleted during the move.'), false);
      await over;
    }
    const { state } = guest.ownership;
    if (state === 'incoming' || state === 'received') await this.#discard(guest);
  }

  /** Gives up what can be given up, so that guests run on their sources, and cuts the rest. */
  async stop(): Promise<void> {
    this.#settlement.stop();
    const overs = [...this.#running.values()].map(({ move, over }) => {
      move.cancel(new AgentError('AGENT_STOPPING', 'The source agent was stopped during the move.'), false);
      return over;
    });
    for (const move of this.#incoming) move.close();
    await Promise.all(overs);
  }

  async #see(request: MoveRequest, guest: Guest, move: SourceMove): Promise<void> {
    const outcome = await move.run();
    const status = move.status();
    const record: SourceRecord = { role: 'source', request, status, clock: move.clock };
    try {
      await this.#store.put(record);
    } catch (error) {
      this.around.logger.error({ error: describeError(error) }, 'the end of a move was not noted');
    }
    this.#running.delete(request.moveId);
    this.around.logger.info({ ...status }, 'move ended');
    this.around.onEnded(status);
    if (outcome === 'uncertain') this.#askTarget(guest, record);
  }

  async #settleGuest(guest: Guest): Promise<void> {
    const { ownership } = guest;
    switch (stepAfterRestart(ownership)) {
      case 'run':
        // A migration whose agent is gone has failed, or fails now.
        if (!guest.hasEnded && guest.hasMachine) await takeBack(guest);
        return;
      case 'take-back':
        return await takeBack(guest);
      case 'ask-target': {
        const record = 'moveId' in ownership ? this.#store.get(ownership.moveId) : undefined;
        if (record?.role === 'source') this.#askTarget(guest, record);
        return;
      }
      case 'ask-source':
        return this.#askSource(guest);
      case 'none':
        if (ownership.state === 'discarded') await this.#discard(guest);
        else await guest.endMachine({ force: true });
    }
  }

  #askTarget(guest: Guest, record: SourceRecord): void {
    settleWithTarget(this.#settlement, guest, record, (change) => this.#finish(record, change));
  }

  #askSource(guest: Guest): void {
    settleWithSource(this.#settlement, guest, (refused) => this.#discard(refused));
  }

  /** The guest never ran here: notes that for good, then forgets the rest. */
  async #discard(guest: Guest): Promise<void> {
    await guest.endMachine({ force: true });
    if (guest.ownership.state !== 'discarded') await guest.step({ type: 'discarded' });
    const { ownership } = guest;
    if (ownership.state !== 'discarded') return;
    const { moveId, peer } = ownership;
    await this.#store.put({ role: 'target', moveId, peer, standing: 'discarded' });
    await this.around.guests.forget(guest);
  }

  async #finish(record: SourceRecord, change: Partial<MoveStatus>): Promise<void> {
    const status: MoveStatus = { ...record.status, ...change };
    await this.#store.put({ ...record, status });
    this.around.logger.info({ ...status }, 'move settled');
  }

  #record(moveId: string): SourceRecord {
    const record = this.#store.get(moveId);
    if (record?.role === 'source') return record;
    throw unknown(moveId);
  }

  #refuseUnmovable(guest: Guest): void {
    const status = guest.status();
    for (const { move } of this.#running.values()) {
      if (move.status().guestId !== guest.guestId) continue;
      throw new AgentError(
        'GUEST_MOVING',
        `Guest ${guest.guestId} is in move ${move.status().moveId} already.`,
        {
          status: 409,
        },
      );
    }
    if (status.state !== 'running')
      throw new AgentError(
        'GUEST_NOT_RUNNING',
        `Guest ${guest.guestId} is ${status.state}; only a running one moves.`,
        {
          status: 409,
        },
      );
    if (guest.spec.disks.some(({ snapshot }) => snapshot))
      throw new AgentError(
        'GUEST_NOT_MOVABLE',
        `Guest ${guest.guestId} writes to a throw-away overlay of this host; start it without "snapshot" to move it.`,
        { status: 422 },
      );
  }
}

function refuseStranger(caller: Identity, agentId: string | undefined): void {
  if (caller.role === 'control-plane' || agentId === undefined || caller.id === agentId) return;
  throw new AgentError('FORBIDDEN', 'Only the agents of a move may ask who owns its guest.', { status: 403 });
}

function unknown(moveId: string): AgentError {
  return new AgentError('MOVE_UNKNOWN', `This agent knows no move ${moveId}.`, { status: 404 });
}

function over(status: MoveStatus): AgentError {
  return new AgentError('MOVE_OVER', `Move ${status.moveId} has ${status.state} already. Begin a new one.`, {
    status: 409,
  });
}
