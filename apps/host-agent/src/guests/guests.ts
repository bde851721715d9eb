import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { type GuestSpec, type GuestStatus, IdSchema } from '@watari/host-agent-client';

import { AgentError, describeError } from '../errors';
import type { Peer } from '../moves/ownership';
import { CPU_MODEL } from '../qemu/command-line';
import { readRecord } from '../state/record-file';
import { Guest, type GuestSurroundings } from './guest';
import { type GuestRecord, GuestRecordSchema } from './guest-record';

const GUESTS_MAX = 1_000;

/** All guests of this agent, by id. Changes to one guest are made one after the other. */
export class Guests {
  readonly #guests = new Map<string, Guest>();
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(private readonly around: GuestSurroundings) {}

  get count(): number {
    return this.#guests.size;
  }

  list(): GuestStatus[] {
    return [...this.#guests.values()].map((guest) => guest.status());
  }

  all(): Guest[] {
    return [...this.#guests.values()];
  }

  find(guestId: string): Guest | undefined {
    return this.#guests.get(guestId);
  }

  /** Throws GUEST_UNKNOWN. */
  get(guestId: string): Guest {
    const guest = this.#guests.get(guestId);
    if (guest) return guest;
    throw new AgentError('GUEST_UNKNOWN', `This agent knows no guest ${guestId}.`, { status: 404 });
  }

  /** Takes up what a former agent left. Guests whose owner is unclear are left paused for the moves to settle. */
  async adoptAll(): Promise<void> {
    const names = (await readdir(this.around.folders.guests)).filter(
      (name) => IdSchema.safeParse(name).success,
    );
    await Promise.all(names.map((name) => this.#adopt(name)));
  }

  /**
   * Sees to it that the guest runs. `created` is false when it did already. Throws GUEST_SPEC_CONFLICT,
   * GUEST_ELSEWHERE, and what starting throws; after that the guest is not known.
   */
  put(spec: GuestSpec): Promise<{ guest: Guest; created: boolean }> {
    return this.#exclusively(spec.guestId, async () => {
      const known = this.#guests.get(spec.guestId);
      if (known) {
        refuseOtherSpec(known, spec);
        if (!known.hasEnded) return { guest: known, created: false };
        await known.clearEnd();
        await this.#start(known);
        return { guest: known, created: true };
      }
      const guest = await this.#create(spec, {
        shape: {
          machineType: this.around.platform.newestMachineTypes[spec.machine],
          cpuModel: CPU_MODEL,
          accelerator: this.around.platform.accelerator,
        },
        ownership: { state: 'owned' },
      });
      await this.#start(guest);
      return { guest, created: true };
    });
  }

  /**
   * Makes room for a guest that another agent announces, and builds its machine, waiting for the stream. Throws
   * GUEST_EXISTS when a guest of that id is here and did not move away.
   */
  receive(
    spec: GuestSpec,
    shape: GuestRecord['shape'],
    move: { moveId: string; peer: Peer },
  ): Promise<Guest> {
    return this.#exclusively(spec.guestId, async () => {
      const known = this.#guests.get(spec.guestId);
      if (known && known.ownership.state !== 'moved-away' && known.ownership.state !== 'discarded')
        throw new AgentError(
          'GUEST_EXISTS',
          `Agent ${this.around.agentId} has a guest ${spec.guestId} already, which is ${known.status().state}. Delete it there first.`,
          { status: 409 },
        );
      if (known) await this.forget(known);
      const guest = await this.#create(spec, { shape, ownership: { state: 'incoming', ...move } });
      try {
        await guest.build({ isIncoming: true });
        return guest;
      } catch (error) {
        await this.forget(guest);
        throw error;
      }
    });
  }

  /** Ends the guest and forgets it; an unknown one is no error. */
  delete(guestId: string): Promise<void> {
    return this.#exclusively(guestId, async () => {
      const guest = this.#guests.get(guestId);
      if (!guest) return;
      await guest.endMachine();
      await this.forget(guest);
    });
  }

  releaseAll(): void {
    for (const guest of this.#guests.values()) guest.release();
  }

  async #adopt(guestId: string): Promise<void> {
    const { folders, logger } = this.around;
    try {
      const record = await readRecord(join(folders.guest(guestId), 'guest.json'), GuestRecordSchema);
      // A folder without a record is what a start leaves that was cut off before it meant anything.
      if (!record) return await rm(folders.guest(guestId), { recursive: true, force: true });
      const guest = await Guest.open(record, this.around);
      this.#guests.set(guestId, guest);
      if (record.ended) return;
      const isThere = await guest.adopt();
      logger.info({ guestId, isThere, ownership: record.ownership.state }, 'took up a guest');
      if (record.ownership.state !== 'owned') return;
      if (!isThere) await guest.end('failed', 'Its QEMU was gone when the agent came back.');
      // Built, but never let run: the former agent ended in between.
      else if (guest.status().state === 'starting') await guest.resume();
    } catch (error) {
      logger.error({ guestId, error: describeError(error) }, 'a guest cannot be taken up');
    }
  }

  async #start(guest: Guest): Promise<void> {
    try {
      await guest.build({ isIncoming: false });
      await guest.resume();
    } catch (error) {
      await guest.endMachine({ force: true });
      await this.forget(guest);
      throw error;
    }
  }

  async #create(spec: GuestSpec, more: Pick<GuestRecord, 'shape' | 'ownership'>): Promise<Guest> {
    if (this.#guests.size >= GUESTS_MAX)
      throw new AgentError('GUESTS_TOO_MANY', `An agent holds at most ${GUESTS_MAX} guests. Delete some.`, {
        status: 409,
      });
    const folder = this.around.folders.guest(spec.guestId);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { mode: 0o700 });
    const guest = await Guest.open(
      { version: 1, spec, startedAt: new Date().toISOString(), ...more },
      this.around,
    );
    // On disk before there is a machine, so that no QEMU runs that nobody knows of.
    await guest.save();
    this.#guests.set(spec.guestId, guest);
    return guest;
  }

  /** Lets go of the guest and removes what is kept of it. */
  async forget(guest: Guest): Promise<void> {
    guest.release();
    this.#guests.delete(guest.guestId);
    await rm(this.around.folders.guest(guest.guestId), { recursive: true, force: true });
    for (const kind of ['qmp', 'in', 'out'] as const)
      await rm(this.around.folders.socket(guest.guestId, kind), { force: true });
  }

  async #exclusively<Result>(guestId: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#busy.get(guestId) ?? Promise.resolve();
    const mine = before.catch(() => undefined).then(work);
    this.#busy.set(guestId, mine);
    try {
      return await mine;
    } finally {
      if (this.#busy.get(guestId) === mine) this.#busy.delete(guestId);
    }
  }
}

function refuseOtherSpec(known: Guest, spec: GuestSpec): void {
  if (JSON.stringify(known.spec) !== JSON.stringify(spec))
    throw new AgentError(
      'GUEST_SPEC_CONFLICT',
      `Guest ${spec.guestId} exists with another specification. Delete it first, or choose another id.`,
      { status: 409 },
    );
  const { state } = known.ownership;
  if (state === 'moved-away' || state === 'handed-over' || state === 'discarded')
    throw new AgentError(
      'GUEST_ELSEWHERE',
      `Guest ${spec.guestId} is not this host's to run (${state}). Delete it here first if it is to start anew.`,
      { status: 409 },
    );
}
