import { setTimeout as sleep } from 'node:timers/promises';

import { type Frame, FRAME_TYPE } from '@watari/migration-core';
import type { Logger } from 'pino';

import type { DataPlane } from '../data-plane/data-plane';
import { AgentError, describeError } from '../errors';
import type { Guest } from '../guests/guest';
import type { Guests } from '../guests/guests';
import type { QemuPlatform } from '../qemu/platform';
import { formatTimestamp, timestampMs } from '../qmp/qmp-client';
import { MigrationReply } from '../qmp/replies';
import { wallClockMs } from './clock-offset';
import type { DataLink } from './data-link';
import { HistoryLoan, historyGuestOf } from './history-loan';
import { shorten, type SourceMessage, type TargetMessage } from './messages';
import { setCapabilities } from './migration-settings';
import type { Peer } from './ownership';
import { type AgreedPageCopy, agreePageCopy, layoutPagesMax } from './page-copy';
import { TargetStream } from './target-stream';

type Announce = Extract<SourceMessage, { kind: 'announce' }>;

const STREAM_FRAMES: ReadonlySet<number> = new Set([FRAME_TYPE.data, FRAME_TYPE.digest, FRAME_TYPE.layout]);
const ANNOUNCE_TIMEOUT_MS = 15_000;
const LOADED_TIMEOUT_MS = 60_000;
const LOADED_POLL_MS = 5;
/** With the guest here and paused, the source is asked by other ways soon. */
const LINK_LOSS_MS_RECEIVED = 5_000;

export interface TargetMoveSurroundings {
  readonly guests: Guests;
  readonly platform: QemuPlatform;
  readonly bootId: string;
  readonly logger: Logger;
  readonly plane: DataPlane;
  /** Memory for what is held of the guest's. */
  readonly mirrorBytesMax: number;
  readonly inSocket: (guestId: string) => string;
  /** The guest never ran here and is to be forgotten, but for that fact. */
  readonly discard: (guest: Guest) => Promise<void>;
  /** The link is gone after the target said "received": the source must be asked. */
  readonly askSource: (guest: Guest) => void;
}

/**
 * The target's half of one move, over a link from another agent. Everything before "received" ends, when it
 * fails, with the guest discarded: the source cannot have committed. After it, only the source's word counts.
 */
export class TargetMove {
  /** The machine, while it is being built and after. */
  #receiving: Promise<Guest> | null = null;
  #guest: Guest | null = null;
  #stream: TargetStream | null = null;
  #state: 'connected' | 'building' | 'loading' | 'received' | 'over' = 'connected';
  #isStreamOver = false;
  #givingUp: Promise<void> | null = null;

  constructor(
    private readonly link: DataLink<SourceMessage, TargetMessage>,
    private readonly sourceAgentId: string,
    private readonly around: TargetMoveSurroundings,
  ) {
    this.link.events.on('message', (message) => this.#take(message));
    this.link.events.on('frame', (frame) => this.#takeFrame(frame));
    this.link.events.on('broken', (error) => this.#failBy(error));
    this.link.events.on('closed', (error) => this.#onClosed(error));
    setTimeout(() => {
      if (this.#state === 'connected')
        this.link.abort(new AgentError('LINK_SILENT', 'The other agent announced no guest.'));
    }, ANNOUNCE_TIMEOUT_MS).unref();
  }

  /** Cuts the link, as the end of the agent does. */
  close(): void {
    this.link.abort(new AgentError('AGENT_STOPPING', 'This agent stops.'));
  }

  #take(message: SourceMessage): void {
    switch (message.kind) {
      case 'ping':
        return this.link.tell({
          kind: 'pong',
          id: message.id,
          clockMs: wallClockMs(),
          bootId: this.around.bootId,
        });
      case 'announce':
        return this.#do(() => this.#announced(message));
      case 'begin':
        return this.#do(async () => this.#begin(message.chunks));
      case 'stream-ended':
        return this.#do(() => this.#streamEnded());
      case 'commit':
        return this.#do(() => this.#committed(Buffer.from(message.console, 'base64')));
      case 'cancel':
        return this.#do(() =>
          this.#fail(new AgentError(message.code, `The source gave up: ${message.reason}`)),
        );
    }
  }

  #do(work: () => Promise<void>): void {
    work().catch((error: unknown) => this.#failBy(error));
  }

  #failBy(error: unknown): void {
    this.#fail(error).catch((trouble: unknown) =>
      this.around.logger.error({ error: describeError(trouble) }, 'a failed move was not put away'),
    );
  }

  async #announced(announce: Announce): Promise<void> {
    if (this.#state !== 'connected') throw unexpected('announce');
    this.#state = 'building';
    refuseUnfit(announce, this.around.platform);
    const { spec, pageCopy } = announce;
    const agreed = agreePageCopy(pageCopy, spec.memoryMiB, this.around.mirrorBytesMax);
    // Read while the machine is being built, and while the source reads its own.
    const history = new HistoryLoan(this.around.plane, spec);
    try {
      const historyId = await history.choose(announce.histories, agreed.mirrorPagesMax);
      // Given up while histories were looked for: no machine is built any more.
      if (this.#state !== 'building') return;
      this.link.tell({ kind: 'agreed', pageCopy: agreed, historyId });
      await this.#build(announce, agreed, history);
    } finally {
      history.end();
    }
  }

  async #build(announce: Announce, agreed: AgreedPageCopy, history: HistoryLoan): Promise<void> {
    const { moveId, spec, shape, sourceApiUrl } = announce;
    const peer: Peer = { agentId: this.sourceAgentId, apiUrl: sourceApiUrl };
    this.#receiving = this.around.guests.receive(spec, shape, { moveId, peer });
    const guest = await this.#receiving;
    // Given up while the machine was being built: whoever did that has waited for it, and puts it away.
    if (this.#state !== 'building') return;
    this.#guest = guest;
    const inSocket = this.around.inSocket(spec.guestId);
    await setCapabilities(guest.machine);
    await guest.machine.execute('migrate-incoming', { uri: `unix:${inSocket}` });
    const loaded = await history.loaded();
    this.#stream = await TargetStream.open(
      this.around.plane,
      this.link,
      {
        onReturnPathEnd: () => this.link.tell({ kind: 'return-path-ended' }),
        onError: (error) => this.#failBy(error),
      },
      {
        ...agreed,
        layoutPagesMax: layoutPagesMax(spec.memoryMiB),
        loadedId: loaded?.loadedId ?? null,
        socketPath: inSocket,
      },
    );
    // Given up meanwhile: the guest is being put away, and nothing more is to be said of it.
    if (this.#state !== 'building') return this.#stream.close();
    guest.events.once('end', () => this.#do(() => this.#qemuEnded()));
    this.#state = 'loading';
    this.link.tell({
      kind: 'ready',
      qemuVersion: this.around.platform.qemuVersion,
      chunks: loaded?.chunks ?? null,
    });
    this.around.logger.info({ moveId, guestId: spec.guestId, from: this.sourceAgentId }, 'a guest is coming');
  }

  #begin(chunks: string | null): void {
    if (this.#state !== 'loading' || !this.#stream) throw unexpected('begin');
    this.#stream.begin(chunks);
  }

  #takeFrame(frame: Frame): void {
    try {
      if (this.#state !== 'loading' || !this.#stream) throw unexpected('frame');
      if (!STREAM_FRAMES.has(frame.type)) throw unexpected('frame');
      this.#stream.take(frame);
    } catch (error) {
      this.#failBy(error);
    }
  }

  async #streamEnded(): Promise<void> {
    if (this.#state !== 'loading' || !this.#stream || !this.#guest || this.#isStreamOver)
      throw unexpected('stream-ended');
    this.#isStreamOver = true;
    await this.#stream.rebuilt();
    // What came last may have been what does not hold; that has been told.
    if (this.#state !== 'loading') return;
    const { summary } = this.#stream;
    if (!summary)
      throw new AgentError('STREAM_DIGEST', 'The stream ended without the hash that would confirm it.');
    this.#stream.end();
    await this.#loaded(this.#guest);
    if (this.#state !== 'loading') return;
    this.#state = 'received';
    this.link.limitLoss(LINK_LOSS_MS_RECEIVED);
    // Written while the source writes its own note; the commit waits for both.
    const noted = this.#guest.step({ type: 'stream-verified' });
    this.link.tell({ kind: 'received', streamSha256: summary.sha256 });
    await noted;
  }

  /** Waits until QEMU has loaded all of it and stands paused. */
  async #loaded(guest: Guest): Promise<void> {
    const deadline = Date.now() + LOADED_TIMEOUT_MS;
    for (;;) {
      const reply = await guest.machine.ask(MigrationReply, 'query-migrate');
      if (reply.status === 'completed') return;
      if (reply.status === 'failed' || Date.now() > deadline)
        throw new AgentError(
          'TARGET_QEMU_FAILED',
          `The target's QEMU did not load the guest (${reply.status ?? 'no status'}): ${reply['error-desc'] ?? 'no reason given'}`,
        );
      await sleep(LOADED_POLL_MS);
    }
  }

  async #committed(console: Buffer): Promise<void> {
    if (this.#state !== 'received' || !this.#guest) throw unexpected('commit');
    this.#state = 'over';
    const running = await runReceived(this.#guest, this.around.discard).catch((error: unknown) => {
      // It may run already, without the note of it: the settlement tries again.
      this.around.askSource(this.#guest!);
      throw error;
    });
    if ('refused' in running) {
      this.link.tell({ kind: 'refused', ...running.refused });
      return this.link.end();
    }
    // Before what the guest writes from here on.
    await this.#guest.console.prepend(console);
    this.link.tell({ kind: 'running', ...running, forwards: this.#guest.forwards });
    await this.#stream!.keepHistory(historyGuestOf(this.#guest.spec), this.#stream!.summary!.sha256);
  }

  /** QEMU ends by itself when it cannot load what comes. */
  async #qemuEnded(): Promise<void> {
    if (this.#state === 'over' || !this.#guest) return;
    const said = this.#guest.hasMachine ? '' : await this.#guest.stderrTail();
    await this.#giveUp(
      new AgentError('TARGET_QEMU_FAILED', `The target's QEMU ended: ${said || 'it said nothing'}`),
    );
  }

  async #fail(error: unknown): Promise<void> {
    // What fails while the guest is being put away fails by that, and must not end the link before the cause was told.
    if (this.#givingUp) return await this.#givingUp;
    // What goes wrong between the agents from here on says nothing of who owns the guest.
    if (this.#state === 'received' || this.#state === 'over') return this.link.end();
    await this.#giveUp(error);
  }

  /** For what is certain: the guest does not and will not run here. */
  async #giveUp(error: unknown): Promise<void> {
    if (this.#state !== 'over') this.#givingUp ??= this.#refuse(error);
    await this.#givingUp;
  }

  async #refuse(error: unknown): Promise<void> {
    const { code, reason } = describeError(error);
    this.around.logger.warn({ code, reason, guestId: this.#guest?.guestId }, 'an incoming move failed');
    try {
      // The guest is put away first: "refused" is an oath.
      await this.#discard();
      this.link.tell({ kind: 'refused', code, reason: shorten(reason) });
    } finally {
      this.link.end();
    }
  }

  #onClosed(error: AgentError | null): void {
    this.#stream?.close();
    if (this.#state === 'received' && this.#guest) {
      this.#state = 'over';
      return this.around.askSource(this.#guest);
    }
    if (this.#state === 'over') return;
    this.around.logger.warn(
      { code: error?.code, reason: error?.message },
      'the link of an incoming move ended',
    );
    this.#do(() => this.#discard());
  }

  async #discard(): Promise<void> {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#stream?.close();
    // A machine that is still being built is discarded once it stands; none, when it could not be built.
    const guest = await this.#receiving?.catch(() => null);
    if (guest) await this.around.discard(guest);
  }
}

/**
 * After the commit: lets the guest run and notes it. When QEMU refuses to (a lock on the disk, say), the guest is
 * discarded and `refused` says why: it did not run here then.
 */
export async function runReceived(
  guest: Guest,
  discard: (guest: Guest) => Promise<void>,
): Promise<{ resumedAt: string; resumedAtMs: number } | { refused: { code: string; reason: string } }> {
  try {
    const at = await guest.resumeReceived();
    const resumedAt = formatTimestamp(at);
    await guest.step({ type: 'commit-received', resumedAt });
    guest.waitingFor = null;
    return { resumedAt, resumedAtMs: timestampMs(at) };
  } catch (error) {
    if (guest.hasMachine && (await guest.machine.runState()) === 'running') throw error;
    const { code, reason } = describeError(error);
    await discard(guest);
    return { refused: { code, reason: shorten(reason) } };
  }
}

function refuseUnfit(announce: Announce, platform: QemuPlatform): void {
  const { shape, spec } = announce;
  if (shape.accelerator !== platform.accelerator)
    throw new AgentError(
      'ACCELERATOR_DIFFERS',
      `The guest runs by ${shape.accelerator}, this host by ${platform.accelerator}: a running guest cannot pass between them. Move it cold.`,
    );
  if (!platform.machineTypes.has(shape.machineType))
    throw new AgentError(
      'MACHINE_TYPE_UNSUPPORTED',
      `This host's QEMU ${platform.qemuVersion} has no machine type ${shape.machineType}. Update QEMU here to at least the source's version.`,
    );
  if (spec.disks.some(({ snapshot }) => snapshot))
    throw new AgentError('GUEST_NOT_MOVABLE', 'The guest writes to a throw-away overlay of this host.');
}

function unexpected(what: string): AgentError {
  return new AgentError('LINK_MESSAGE_UNEXPECTED', `The other agent sent "${what}" out of turn.`);
}
