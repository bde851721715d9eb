import { EventEmitter } from 'node:events';
import { join } from 'node:path';

import type { Forward, GuestState, GuestStatus } from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { AgentError, describeError } from '../errors';
import { evolve, mayRun, type OwnershipEvent } from '../moves/ownership';
import { ConsoleLog } from '../qemu/console-log';
import type { QemuPlatform } from '../qemu/platform';
import { formatTimestamp, type QmpEvent, type QmpTimestamp, timestampOf } from '../qmp/qmp-client';
import type { StateFolders } from '../state/folders';
import { writeRecord } from '../state/record-file';
import { EventLog } from './event-log';
import type { GuestRecord } from './guest-record';
import { Machine, type MachineEvents, type MachineFiles } from './machine';

const CONSOLE_POLL_MS = 200;
const RESUME_TIMEOUT_MS = 20_000;
const CONSOLE_TAIL_BYTES = 16 * 1024;
/** Thousands a second while a guest that hardly writes waits for its switch-over. */
const EVENTS_NOT_KEPT: ReadonlySet<string> = new Set(['MIGRATION_PASS']);

export interface GuestSurroundings {
  readonly agentId: string;
  readonly platform: QemuPlatform;
  readonly folders: StateFolders;
  readonly logger: Logger;
}

/** One guest this agent answers for: its record on disk, its machine while there is one, console and events. */
export class Guest {
  /** Every QMP event as it comes, and `end` when QEMU is gone. */
  readonly events: MachineEvents = new EventEmitter();
  /** Why the guest waits, when something is unclear between the agents. */
  waitingFor: string | null = null;
  #machine: Machine | null = null;
  #runState: string | null = null;
  #forwards: Forward[] = [];
  #consolePoll: NodeJS.Timeout | null = null;
  #saving: Promise<void> = Promise.resolve();
  #isEnding = false;
  #resumedAt: QmpTimestamp | null = null;

  private constructor(
    private record: GuestRecord,
    private readonly around: GuestSurroundings,
    readonly console: ConsoleLog,
    readonly eventLog: EventLog,
    private readonly logger: Logger,
  ) {
    this.events.on('event', (event) => this.#take(event));
    this.events.on('end', () => void this.#noteEnd());
  }

  /** The folder of the guest exists. Writes nothing yet. */
  static async open(record: GuestRecord, around: GuestSurroundings): Promise<Guest> {
    const folder = around.folders.guest(record.spec.guestId);
    const [console, eventLog] = await Promise.all([
      ConsoleLog.open(join(folder, 'console.log')),
      EventLog.open(join(folder, 'events.ndjson')),
    ]);
    const logger = around.logger.child({ guestId: record.spec.guestId });
    return new Guest(record, around, console, eventLog, logger);
  }

  get guestId(): string {
    return this.record.spec.guestId;
  }

  get spec(): GuestRecord['spec'] {
    return this.record.spec;
  }

  get shape(): GuestRecord['shape'] {
    return this.record.shape;
  }

  get ownership(): GuestRecord['ownership'] {
    return this.record.ownership;
  }

  get forwards(): Forward[] {
    return this.#forwards;
  }

  get hasEnded(): boolean {
    return this.record.ended !== undefined;
  }

  /** The machine. Throws GUEST_NOT_RUNNING when there is none. */
  get machine(): Machine {
    if (this.#machine && !this.#machine.hasEnded) return this.#machine;
    throw new AgentError('GUEST_NOT_RUNNING', `Guest ${this.guestId} has no running QEMU on this host.`, {
      status: 409,
    });
  }

  get hasMachine(): boolean {
    return this.#machine !== null && !this.#machine.hasEnded;
  }

  /** Builds the machine, paused, and learns its forwards. Throws what Machine.start throws. */
  async build(options: { isIncoming: boolean }): Promise<void> {
    this.#isEnding = false;
    this.#machine = await Machine.start(this.around.platform, this.record, this.#files(), {
      ...options,
      events: this.events,
      logger: this.logger,
    });
    await this.#settleIn(this.#machine);
  }

  /** Takes up a machine that a former agent left; false when it is gone. */
  async adopt(): Promise<boolean> {
    this.#machine = await Machine.adopt(this.#files(), { events: this.events, logger: this.logger });
    if (!this.#machine) return false;
    try {
      await this.#settleIn(this.#machine);
    } catch (error) {
      this.logger.warn({ error: describeError(error) }, 'an adopted guest does not answer');
    }
    return true;
  }

  /** Lets the guest run. Throws OWNERSHIP_BROKEN unless this agent owns it. */
  async resume(): Promise<void> {
    if (!mayRun(this.ownership))
      throw new AgentError('OWNERSHIP_BROKEN', `Guest ${this.guestId} is not this agent's to run.`);
    await this.machine.resume();
    this.#runState = 'running';
  }

  /**
   * For a target that has the commit but has not noted it yet: lets the guest run and returns the time of RESUME
   * by this host's clock. A guest that runs already was let run by the same leave.
   */
  async resumeReceived(): Promise<QmpTimestamp> {
    const machine = this.machine;
    // Resumed while no agent listened: now is the latest it can have been.
    if ((await machine.runState()) === 'running') return this.#resumedAt ?? timestampOf(Date.now());
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), RESUME_TIMEOUT_MS);
    const resumed = this.#waitFor('RESUME', abort.signal);
    // Marked as handled: when `resume` throws, nobody waits for it any more.
    resumed.catch(() => undefined);
    try {
      await machine.resume();
      return (await resumed).at;
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  /** Takes the step and writes it through to disk before it counts. Steps are taken one after the other. */
  async step(event: OwnershipEvent): Promise<void> {
    const saved = this.#saving.then(async () => {
      const next = { ...this.record, ownership: evolve(this.ownership, event) };
      await this.#write(next);
      this.record = next;
      this.logger.info({ step: event.type, ownership: next.ownership.state }, 'ownership');
    });
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Writes the record as it is. */
  async save(): Promise<void> {
    const saved = this.#saving.then(() => this.#write(this.record));
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  /** Starts a guest anew that had ended. */
  async clearEnd(): Promise<void> {
    this.record = { ...this.record, ended: undefined, startedAt: new Date().toISOString() };
    await this.save();
  }

  /** Notes the end of the guest on this host; the machine is gone or goes. */
  async end(kind: 'stopped' | 'failed', reason: string): Promise<void> {
    if (this.record.ended) return;
    this.record = { ...this.record, ended: { kind, reason, at: new Date().toISOString() } };
    this.logger[kind === 'failed' ? 'warn' : 'info']({ kind, reason }, 'guest ended');
    await this.save();
  }

  /** Ends the machine; by force when it is not worth a flush. The record is left as it is. */
  async endMachine(options: { force?: boolean } = {}): Promise<void> {
    this.#isEnding = true;
    await this.drainConsole();
    const machine = this.#machine;
    this.#stopPolling();
    this.#machine = null;
    this.#runState = null;
    if (machine) await (options.force ? machine.kill() : machine.quit());
  }

  /** What QEMU said last on its standard error. */
  async stderrTail(): Promise<string> {
    return (await this.#machine?.stderrTail()) ?? '';
  }

  /** Lets go of the guest, which runs on without the agent. */
  release(): void {
    this.#stopPolling();
    this.#machine?.release();
  }

  status(): GuestStatus {
    const { ended, ownership, startedAt } = this.record;
    const reason = this.waitingFor ?? ended?.reason;
    return {
      guestId: this.guestId,
      state: this.#state(),
      forwards: this.hasMachine ? this.#forwards : [],
      consoleTail: this.console.tail(CONSOLE_TAIL_BYTES),
      startedAt,
      ...(reason !== undefined && { reason }),
      ...('peer' in ownership && ownership.state === 'moved-away' && { movedTo: ownership.peer.agentId }),
    };
  }

  /** Reads what the guest wrote to its console up to now. */
  async drainConsole(): Promise<void> {
    if (!this.hasMachine) return;
    try {
      await this.console.append(await this.machine.readConsole());
    } catch (error) {
      this.logger.debug({ error: describeError(error) }, 'console not read');
    }
  }

  #state(): GuestState {
    const { ownership, ended } = this.record;
    if (ownership.state === 'moved-away') return 'moved-away';
    if (ended) return ended.kind;
    if (ownership.state === 'discarded') return 'failed';
    if (ownership.state === 'incoming') return 'incoming';
    if (ownership.state === 'received' || ownership.state === 'handed-over') return 'paused';
    if (this.#runState === 'running') return 'running';
    return this.#runState === null || this.#runState === 'prelaunch' ? 'starting' : 'paused';
  }

  async #settleIn(machine: Machine): Promise<void> {
    this.#runState = await machine.runState();
    this.#forwards = await machine.forwards();
    if (!this.#consolePoll) {
      this.#consolePoll = setInterval(() => void this.drainConsole(), CONSOLE_POLL_MS);
      this.#consolePoll.unref();
    }
    if (this.#runState === 'shutdown') await this.#notePowerOff('it was off when the agent came back');
  }

  #take(event: QmpEvent): void {
    if (event.event === 'RESUME') {
      this.#runState = 'running';
      this.#resumedAt = event.at;
    }
    if (event.event === 'STOP') this.#runState = 'paused';
    if (event.event === 'SHUTDOWN' && !this.#isEnding) {
      this.#runState = 'shutdown';
      void this.#notePowerOff(`the guest powered off (${String(event.data['reason'] ?? 'no reason given')})`);
    }
    if (EVENTS_NOT_KEPT.has(event.event)) return;
    this.eventLog
      .add({ at: formatTimestamp(event.at), event: event.event, agentId: this.around.agentId })
      .catch((error: unknown) =>
        this.logger.warn({ error: describeError(error) }, 'an event was not written'),
      );
  }

  async #notePowerOff(reason: string): Promise<void> {
    try {
      await this.end('stopped', reason);
      await this.endMachine();
    } catch (error) {
      this.logger.error({ error: describeError(error) }, 'a guest that powered off was not put away');
    }
  }

  async #noteEnd(): Promise<void> {
    this.#stopPolling();
    if (this.#isEnding || !mayRun(this.ownership)) return;
    try {
      const said = (await this.#machine?.stderrTail()) ?? '';
      await this.end('failed', `QEMU ended by itself: ${said || 'it said nothing'}`);
    } catch (error) {
      this.logger.error({ error: describeError(error) }, 'the end of a guest was not noted');
    }
  }

  #waitFor(name: string, signal: AbortSignal): Promise<QmpEvent> {
    return new Promise((resolve, reject) => {
      const listener = (event: QmpEvent): void => {
        if (event.event === name) resolve(event);
      };
      this.events.on('event', listener);
      signal.addEventListener('abort', () => {
        this.events.off('event', listener);
        reject(new AgentError('GUEST_NOT_RUNNING', `QEMU did not say ${name}.`));
      });
    });
  }

  #stopPolling(): void {
    if (this.#consolePoll) clearInterval(this.#consolePoll);
    this.#consolePoll = null;
  }

  #files(): MachineFiles {
    return {
      folder: this.around.folders.guest(this.guestId),
      qmpSocket: this.around.folders.socket(this.guestId, 'qmp'),
    };
  }

  #write(record: GuestRecord): Promise<void> {
    return writeRecord(join(this.around.folders.guest(this.guestId), 'guest.json'), record);
  }
}
