import type { MoveRequest, MoveStatus, TlsMaterial } from '@watari/host-agent-client';
import type { Frame } from '@watari/migration-core';
import type { Logger } from 'pino';

import type { DataPlane } from '../data-plane/data-plane';
import { AgentError, describeError } from '../errors';
import type { Guest } from '../guests/guest';
import { type QmpEvent, timestampMs } from '../qmp/qmp-client';
import { type ClockOffset, measureClock } from './clock-offset';
import type { DataLink } from './data-link';
import { downtime } from './downtime';
import { HistoryLoan, historyGuestOf } from './history-loan';
import { openLink } from './link-dialler';
import { connectToAgent } from './link-security';
import {
  CONSOLE_BYTES_MAX,
  HISTORIES_MAX,
  MOVE_PROTOCOL_VERSION,
  shorten,
  type SourceMessage,
  type TargetMessage,
  TargetMessageSchema,
} from './messages';
import { Mailbox } from './mailbox';
import { lookAtMigration, setCapabilities, setFloor } from './migration-settings';
import { agreePageCopy, offerPageCopy } from './page-copy';
import type { Peer } from './ownership';
import { SourceStream } from './source-stream';
import { type Experience, Steering } from './steering';
import { takeBack } from './take-back';
import type { Traces } from './traces';

/** Ten times a second: a pause of 50 ms is not found by looking four times. */
const POLL_MS = 100;
const ANSWER_TIMEOUT_MS = 15_000;
/** The target builds a machine; under emulation on a busy host that takes its time. */
const READY_TIMEOUT_MS = 90_000;
/** From the end of the stream to the target's word that all of it is loaded. */
const RECEIVED_TIMEOUT_MS = 60_000;
const RUNNING_TIMEOUT_MS = 30_000;
/** While the guest stands still nobody waits long for a link: it goes on where it was. */
const LINK_LOSS_MS_PAUSED = 5_000;

export interface LinkSettings {
  readonly streams: number;
  readonly lossLimitMs: number;
}

export interface SourceMoveSurroundings {
  readonly tls: TlsMaterial;
  readonly apiUrl: string;
  readonly bootId: string;
  readonly qemuVersion: string;
  readonly outSocket: string;
  readonly logger: Logger;
  readonly experience: Experience;
  readonly plane: DataPlane;
  readonly traces: Traces;
  /** Memory for what is held of the guest's. */
  readonly mirrorBytesMax: number;
  /** Connections to the target, and how long they may all be gone. */
  readonly link: LinkSettings;
  /** Keeps the status, and this, over restarts. */
  readonly save: (more: { clock: ClockOffset }) => Promise<void>;
}

export type SourceOutcome = 'completed' | 'cancelled' | 'failed' | 'uncertain';

/**
 * The source's half of one move, from the first connection to the end of the guest's life here. Until the commit
 * every failure leaves the guest running here; after it, the target alone decides, and this half only finds out.
 */
export class SourceMove {
  readonly #beganMs = performance.now();
  readonly #abort = new AbortController();
  readonly #mailbox = new Mailbox<TargetMessage>(this.#abort.signal);
  readonly #steering: Steering;
  #state: MoveStatus['state'] = 'pre-copy';
  #figures: Partial<MoveStatus> = {};
  #link: DataLink<TargetMessage, SourceMessage> | null = null;
  #stream: SourceStream | null = null;
  readonly #history: HistoryLoan;
  #clock: ClockOffset = { offsetMs: 0, uncertaintyMs: 0 };
  #peer: Peer | undefined;
  /** By QEMU's clock, and when we heard of it by ours. */
  #stopMs: number | null = null;
  #stoppedAtMs: number | null = null;
  #isCommitted = false;
  #isCancelled = false;
  #endedMs: number | null = null;

  constructor(
    private readonly request: MoveRequest,
    private readonly guest: Guest,
    private readonly around: SourceMoveSurroundings,
  ) {
    this.#steering = new Steering(guest.machine, request, around.experience, (limits) =>
      around.traces.begin(request.moveId, limits),
    );
    this.#history = new HistoryLoan(around.plane, guest.spec);
  }

  /** The target's clock against ours. */
  get clock(): ClockOffset {
    return this.#clock;
  }

  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  status(): MoveStatus {
    const counters = this.#stream?.counters;
    return {
      moveId: this.request.moveId,
      guestId: this.request.guestId,
      state: this.#state,
      rounds: 0,
      guestBytes: counters?.guestBytes ?? 0,
      wireBytes: this.#link?.bytesWritten ?? 0,
      pages: counters?.pages ?? 0,
      zeroPages: counters?.zeroPages ?? 0,
      samePages: counters?.samePages ?? 0,
      deltaPages: counters?.deltaPages ?? 0,
      copiedPages: counters?.copiedPages ?? 0,
      rawPages: counters?.rawPages ?? 0,
      lostConnections: this.#link?.lostConnections ?? 0,
      resentBytes: this.#link?.resentBytes ?? 0,
      downtimeLimitMs: this.request.downtimeLimitMs,
      totalMs: Math.round((this.#endedMs ?? performance.now()) - this.#beganMs),
      ...this.#figures,
    };
  }

  /** Gives the move up unless it is committed. */
  cancel(error: AgentError, isCancelled = true): void {
    if (this.#isCommitted || this.#endedMs !== null) return;
    this.#isCancelled = isCancelled;
    this.#abort.abort(error);
  }

  /** Asks for the switch-over of a move that is ready; goes on by itself. */
  beginSwitchOver(): void {
    this.#state = 'switching';
    this.#letSwitch().catch((error: unknown) => this.#abort.abort(error));
  }

  async #letSwitch(): Promise<void> {
    const { guest, request } = this;
    await guest.step({ type: 'switch-over-begun', moveId: request.moveId, peer: this.#peer! });
    this.#abort.signal.throwIfAborted();
    this.#steering.allowSwitch();
  }

  /** Runs the move to its end; never rejects. `uncertain` means committed, and the target did not answer. */
  async run(): Promise<SourceOutcome> {
    const onEvent = ({ event, at }: QmpEvent): void => {
      if (event !== 'STOP') return;
      this.#stopMs = timestampMs(at);
      this.#stoppedAtMs = performance.now();
      this.#stream?.hurry();
      this.#link?.limitLoss(Math.min(LINK_LOSS_MS_PAUSED, this.around.link.lossLimitMs));
    };
    const onEnd = (): void =>
      this.#abort.abort(new AgentError('GUEST_ENDED', 'The guest ended while it was being moved.'));
    this.guest.events.on('event', onEvent).on('end', onEnd);
    try {
      await this.#open();
      await this.#copy();
      await this.#handOver();
      return this.#conclude('completed');
    } catch (error) {
      return this.#isCommitted ? this.#leaveUncertain(error) : await this.#giveUp(error);
    } finally {
      this.guest.events.off('event', onEvent).off('end', onEnd);
      this.#stream?.close();
      this.#history.end();
      this.#link?.end();
    }
  }

  async #open(): Promise<void> {
    const { target } = this.request;
    let { agentId } = target;
    const link = await openLink<TargetMessage, SourceMessage>({
      ...this.around.link,
      schema: TargetMessageSchema,
      logger: this.around.logger,
      dial: async () => {
        const connected = await connectToAgent(target.dataAddress, this.around.tls, agentId);
        // Whoever answered first answers all along.
        agentId = connected.agentId;
        return connected.socket;
      },
    });
    this.#peer = { agentId: agentId!, apiUrl: target.apiUrl, dataAddress: target.dataAddress };
    this.#link = link;
    link.events.on('message', (message) => this.#take(message));
    link.events.on('frame', (frame) => this.#takeFrame(frame));
    link.events.on('drain', () => this.#stream?.pump());
    link.events.on('broken', (error) => this.#abort.abort(error));
    link.events.on('closed', (error) =>
      this.#abort.abort(error ?? new AgentError('LINK_LOST', 'The target agent closed the link.')),
    );
    this.#clock = await measureClock(this.around.bootId, (id) => {
      link.tell({ kind: 'ping', id });
      return this.#mailbox.expect('pong', ANSWER_TIMEOUT_MS);
    });
    await this.around.save({ clock: this.#clock });
    const { memoryMiB } = this.guest.spec;
    const histories = await this.#history.find();
    this.#abort.signal.throwIfAborted();
    link.tell({
      kind: 'announce',
      protocolVersion: MOVE_PROTOCOL_VERSION,
      moveId: this.request.moveId,
      spec: this.guest.spec,
      shape: this.guest.shape,
      qemuVersion: this.around.qemuVersion,
      sourceApiUrl: this.around.apiUrl,
      pageCopy: offerPageCopy(memoryMiB, this.around.mirrorBytesMax),
      histories: histories.slice(0, HISTORIES_MAX),
    });
    const { historyId, pageCopy } = await this.#mailbox.expect('agreed', READY_TIMEOUT_MS);
    const agreed = agreePageCopy(pageCopy, memoryMiB, this.around.mirrorBytesMax);
    // Here while the target loads its own and builds the machine.
    if (historyId !== null) this.#history.load(historyId, agreed.mirrorPagesMax);
    const { chunks } = await this.#mailbox.expect('ready', READY_TIMEOUT_MS);
    const loaded = await Mailbox.race(this.#history.loaded(), this.#abort.signal);
    this.#stream = await SourceStream.open(this.around.plane, link, {
      ...agreed,
      history: loaded && chunks !== null ? { loadedId: loaded.loadedId, theirChunks: chunks } : null,
      bandwidthBytesPerSecondMax: this.request.bandwidthBytesPerSecondMax,
    });
    // What the target could not load is not held beside the mirror that the stream fills.
    this.#history.end();
    link.tell({ kind: 'begin', chunks: this.#stream.sharedChunks });
  }

  async #copy(): Promise<void> {
    const { machine } = this.guest;
    const stream = this.#stream!;
    await stream.listen(this.around.outSocket);
    await setCapabilities(machine, { mayThrottle: (this.request.throttlePercentMax ?? 0) > 0 });
    await setFloor(machine);
    this.#abort.signal.throwIfAborted();
    await machine.execute('migrate', { uri: `unix:${this.around.outSocket}` });
    const signal = this.#abort.signal;
    let isOver = false;
    const ended = Mailbox.race(stream.ended, signal).finally(() => (isOver = true));
    ended.catch(() => undefined);
    while (!isOver) {
      await this.#poll();
      await Mailbox.race(
        Promise.race([ended, new Promise((resolve) => setTimeout(resolve, POLL_MS))]),
        signal,
      );
    }
    const { sha256 } = await ended;
    this.#figures.streamSha256 = sha256;
    if (this.#state !== 'switching')
      throw new AgentError('STREAM_CUT', 'The stream from QEMU ended before the switch-over was asked for.');
    this.#link!.tell({ kind: 'stream-ended' });
  }

  async #poll(): Promise<void> {
    const ram = await lookAtMigration(this.guest.machine);
    // Once the guest stands still, what is left runs by itself.
    if (!ram || this.#stopMs !== null) return;
    if (!this.#link!.isConnected) {
      // What is measured now says nothing of the link, and nothing of the guest either.
      this.#figures.decision =
        'The connection to the target was lost; the guest runs on, and the move when it is back.';
      return;
    }
    const stream = this.#stream!;
    const { counters, wireBytes } = stream;
    const decision = await this.#steering.look({
      atMs: performance.now(),
      ...ram,
      streamBytes: counters.guestBytes,
      appliedStreamBytes: stream.appliedBytes,
      wireBytes: wireBytes.sent,
      queuedWireBytes: wireBytes.queued,
      unreceivedWireBytes: Math.min(wireBytes.queued, this.#link!.unreceivedBytes),
      pages: {
        zero: counters.zeroPages,
        same: counters.samePages,
        delta: counters.deltaPages,
        copy: counters.copiedPages,
        raw: counters.rawPages,
      },
      heldBackBy: stream.takeHeldBackBy() ?? (this.#steering.isPaced ? 'pacing' : null),
    });
    this.#abort.signal.throwIfAborted();
    const { prediction } = decision;
    this.#figures = {
      ...this.#figures,
      rounds: ram.rounds,
      remainingBytes: ram.remainingBytes,
      dirtyBytesPerSecond: ram.dirtyBytesPerSecond,
      throttlePercent: ram.throttlePercent,
      bytesPerSecond: Math.round(prediction.wireBytesPerSecond),
      expectedDowntimeMs: Math.round(prediction.predictedDowntimeMs),
      decision: decision.reason,
      compression: stream.compressionReason,
    };
    stream.limitInFlight(prediction.wireBytesPerSecond, decision.inFlightMsMax);
    if (decision.kind === 'give-up') throw new AgentError('MOVE_GIVEN_UP', decision.reason);
    if (this.#steering.isLetSwitch) stream.allowSwitchOver();
    if (this.#state !== 'switching')
      this.#state = decision.readyFor === null ? 'pre-copy' : 'ready-to-switch';
  }

  async #handOver(): Promise<void> {
    const { guest } = this;
    const received = await this.#mailbox.expect('received', RECEIVED_TIMEOUT_MS);
    if (received.streamSha256 !== this.#figures.streamSha256)
      throw new AgentError('STREAM_DIGEST', 'The target rebuilt another stream than this host sent.');
    // The guest is paused: what it wrote to its console is complete.
    await guest.drainConsole();
    this.#abort.signal.throwIfAborted();
    await this.#commit();
    this.#link!.tell({
      kind: 'commit',
      console: guest.console.bytes.subarray(-CONSOLE_BYTES_MAX).toString('base64'),
    });
    const running = await this.#mailbox.expect('running', RUNNING_TIMEOUT_MS);
    await this.#finish({ resumedAtMs: running.resumedAtMs, forwards: running.forwards });
  }

  /** From the call on nobody may cancel. When the note cannot be written, it never counted: nothing was told. */
  async #commit(): Promise<void> {
    this.#isCommitted = true;
    try {
      await this.guest.step({ type: 'committed' });
    } catch (error) {
      this.#isCommitted = false;
      throw error;
    }
  }

  /** The target runs the guest: ends it here, and fills in the last figures. */
  async #finish(running: { resumedAtMs: number; forwards: MoveStatus['forwards'] }): Promise<void> {
    this.#figures = {
      ...this.#figures,
      remainingBytes: 0,
      forwards: running.forwards,
      ...(this.#stopMs !== null && downtime(this.#stopMs, running.resumedAtMs, this.#clock)),
    };
    if (this.#figures.downtimeMs !== undefined) this.#steering.learn(this.#figures.downtimeMs);
    if (this.guest.ownership.state === 'handed-over') await this.guest.step({ type: 'confirmed' });
    await this.#stream!.keepHistory(historyGuestOf(this.guest.spec), this.#figures.streamSha256!);
    await this.guest.endMachine();
  }

  #take(message: TargetMessage): void {
    if (message.kind === 'return-path-ended') return this.#stream?.endReturnPath();
    if (message.kind === 'refused')
      return this.#abort.abort(
        new AgentError(message.code, `The target refused: ${message.reason}`, { status: 502 }),
      );
    this.#mailbox.put(message);
  }

  #takeFrame(frame: Frame): void {
    try {
      this.#stream?.take(frame);
    } catch (error) {
      this.#link?.abort(error instanceof AgentError ? error : new AgentError('LINK_FAULT', String(error)));
    }
  }

  #leaveUncertain(error: unknown): SourceOutcome {
    const { reason } = describeError(error);
    this.around.logger.warn({ reason }, 'committed, but the target did not say that the guest runs');
    this.guest.waitingFor = `Handed over to ${this.#peer?.agentId}, which has not confirmed it (${reason}). Neither side starts the guest until they have spoken.`;
    this.#figures.reason = this.guest.waitingFor;
    return 'uncertain';
  }

  async #giveUp(error: unknown): Promise<SourceOutcome> {
    const { code, reason } = describeError(error);
    this.#link?.tell({ kind: 'cancel', code, reason: shorten(reason) });
    // Orderly, so that the word goes out; what follows does not wait for it.
    this.#link?.end();
    this.#figures = { ...this.#figures, code, reason };
    try {
      await takeBack(this.guest);
    } catch (trouble) {
      this.around.logger.error(
        { error: describeError(trouble) },
        'the guest did not go on after a move failed',
      );
      this.#figures.reason = `${reason} And the guest did not go on: ${describeError(trouble).reason}`;
      return this.#conclude('failed');
    }
    return this.#conclude(this.#isCancelled ? 'cancelled' : 'failed');
  }

  #conclude(state: 'completed' | 'cancelled' | 'failed'): SourceOutcome {
    // Read before the link forgets them.
    this.#figures = { ...this.#figures, wireBytes: this.#link?.bytesWritten ?? 0 };
    this.#endedMs = performance.now();
    this.#state = state;
    const { downtimeMs = null, expectedDowntimeMs } = this.#figures;
    this.#steering.end({ downtimeMs, stoppedAtMs: this.#stoppedAtMs });
    if (downtimeMs !== null)
      this.around.logger.info(
        { downtimeMs, expectedDowntimeMs },
        'pause of the guest, measured and expected',
      );
    return state;
  }
}
