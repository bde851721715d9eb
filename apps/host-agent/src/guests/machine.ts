import type { EventEmitter } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Forward, GuestSpec } from '@watari/host-agent-client';
import type { Logger } from 'pino';
import type { z } from 'zod';

import { AgentError, describeError } from '../errors';
import { checkDisk, type DiskFacts } from '../qemu/disk-check';
import { CONSOLE_ID, CONSOLE_RING_BYTES, type MachineShape, qemuArguments } from '../qemu/command-line';
import type { QemuPlatform } from '../qemu/platform';
import { QemuProcess, startFailed } from '../qemu/qemu-process';
import { readForwards } from '../qemu/usernet';
import { QmpClient, QmpError, type QmpEvent } from '../qmp/qmp-client';
import { RunStateReply } from '../qmp/replies';

const QMP_READY_TIMEOUT_MS = 60_000;
const ADOPT_TIMEOUT_MS = 10_000;
const RECONNECT_PAUSE_MS = 1_000;
const QUIT_TIMEOUT_MS = 15_000;

export interface MachineFiles {
  readonly folder: string;
  readonly qmpSocket: string;
}

/** `event` (QmpEvent) for what QEMU tells, `end` once when its process is gone. */
export type MachineEvents = EventEmitter<{ event: [QmpEvent]; end: [] }>;

/** A virtual machine: one QEMU process and the QMP connection to it. */
export class Machine {
  #qmp: QmpClient | null = null;
  #isReleased = false;

  private constructor(
    private readonly process: QemuProcess,
    private readonly files: MachineFiles,
    private readonly events: MachineEvents,
    private readonly logger: Logger,
  ) {}

  /** Builds the machine, paused. Throws what `checkDisk` throws, or QEMU_START_FAILED; nothing runs then. */
  static async start(
    platform: QemuPlatform,
    guest: { spec: GuestSpec; shape: MachineShape },
    files: MachineFiles,
    options: { isIncoming: boolean; events: MachineEvents; logger: Logger },
  ): Promise<Machine> {
    const disks = await Promise.all(
      guest.spec.disks.map((disk, index) => checkDisk(disk, `disks.${index}.path`)),
    );
    const args = qemuArguments({
      ...guest,
      disks,
      overlays: await makeOverlays(platform, guest.spec, disks, files.folder),
      firmwareFolders: platform.firmwareFolders,
      qmpSocket: files.qmpSocket,
      pidFile: join(files.folder, 'qemu.pid'),
      isIncoming: options.isIncoming,
    });
    options.logger.debug({ args }, 'starting QEMU');
    const process = await QemuProcess.start(
      platform,
      args,
      {
        pidFile: join(files.folder, 'qemu.pid'),
        logFile: join(files.folder, 'qemu.log'),
        qmpSocket: files.qmpSocket,
      },
      () => options.events.emit('end'),
    );
    const machine = new Machine(process, files, options.events, options.logger);
    try {
      await machine.#connect();
      return machine;
    } catch (error) {
      machine.release();
      const hadEnded = !(await process.isRunning());
      await process.kill();
      throw startFailed(hadEnded ? 'it ended' : describeError(error).reason, await process.stderrTail());
    }
  }

  /** The machine that a former agent left running, or null when it is gone. */
  static async adopt(
    files: MachineFiles,
    options: { events: MachineEvents; logger: Logger },
  ): Promise<Machine | null> {
    const process = await QemuProcess.adopt(
      { pidFile: join(files.folder, 'qemu.pid'), logFile: join(files.folder, 'qemu.log') },
      () => options.events.emit('end'),
    );
    if (!process) return null;
    const machine = new Machine(process, files, options.events, options.logger);
    await machine.#connect(ADOPT_TIMEOUT_MS).catch((error: unknown) => {
      // A QEMU that hangs must not keep the agent from its other guests; it stays killable by its pid.
      options.logger.warn({ pid: process.pid, error: describeError(error) }, 'a guest does not answer QMP');
      machine.#connectLater();
    });
    return machine;
  }

  get pid(): number {
    return this.process.pid;
  }

  get hasEnded(): boolean {
    return this.process.hasEnded;
  }

  stderrTail(): Promise<string> {
    return this.process.stderrTail();
  }

  /** Rejects with QmpError. */
  execute(command: string, args: Record<string, unknown> = {}, timeoutMs?: number): Promise<unknown> {
    if (!this.#qmp)
      return Promise.reject(new QmpError('QMP_CLOSED', 'QEMU is gone, or its QMP is being opened anew.'));
    return this.#qmp.execute(command, args, timeoutMs);
  }

  /** QEMU's answer, checked. Throws QmpError, or QMP_ANSWER_UNKNOWN. */
  async ask<Schema extends z.ZodType>(
    schema: Schema,
    command: string,
    args: Record<string, unknown> = {},
  ): Promise<z.infer<Schema>> {
    const parsed = schema.safeParse(await this.execute(command, args));
    if (parsed.success) return parsed.data;
    throw new AgentError(
      'QMP_ANSWER_UNKNOWN',
      `QEMU answered ${command} in a form we do not know: ${parsed.error.issues[0]?.message ?? ''}`,
    );
  }

  /** QEMU's word for it: running, paused, inmigrate, postmigrate, shutdown, io-error, ... */
  async runState(): Promise<string> {
    return (await this.ask(RunStateReply, 'query-status')).status;
  }

  /** Lets the guest run, and waits until it does. */
  async resume(): Promise<void> {
    await this.execute('cont');
    if ((await this.runState()) === 'running') return;
    throw new AgentError('GUEST_NOT_RUNNING', 'QEMU did not let the guest run.');
  }

  async forwards(): Promise<Forward[]> {
    return readForwards(await this.usernetReport());
  }

  async usernetReport(): Promise<string> {
    return String(await this.execute('human-monitor-command', { 'command-line': 'info usernet' }));
  }

  /** What the guest wrote to its console since the last time; at most the size of QEMU's ring. */
  async readConsole(): Promise<Buffer> {
    const text = await this.execute('ringbuf-read', {
      device: CONSOLE_ID,
      size: CONSOLE_RING_BYTES,
      format: 'base64',
    });
    return Buffer.from(String(text), 'base64');
  }

  /** Ends QEMU: by QMP, and by force when that does not work. The disks are flushed in the first case. */
  async quit(): Promise<void> {
    this.#isReleased = true;
    try {
      await this.execute('quit', {}, QUIT_TIMEOUT_MS);
      await this.process.waitForEnd(QUIT_TIMEOUT_MS);
    } catch (error) {
      // QEMU may close the connection before it answers; whether it ended is what counts.
      this.logger.debug({ error: describeError(error) }, 'QMP quit was not answered');
    }
    await this.process.kill();
    this.release();
  }

  async kill(): Promise<void> {
    this.release();
    await this.process.kill();
  }

  /** Lets go of a machine that runs on. */
  release(): void {
    this.#isReleased = true;
    this.process.release();
    this.#qmp?.close();
    this.#qmp = null;
  }

  async #connect(timeoutMs = QMP_READY_TIMEOUT_MS): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      try {
        // Until QEMU has greeted there is nothing to lose: the attempt itself fails.
        let connected: QmpClient | null = null;
        connected = await QmpClient.connect(
          this.files.qmpSocket,
          {
            onEvent: (event) => this.events.emit('event', event),
            onClose: () => connected && this.#lose(connected),
          },
          Math.max(100, deadline - Date.now()),
        );
        this.#qmp = connected;
        return;
      } catch (error) {
        if (Date.now() > deadline || this.#isReleased || !(await this.process.isRunning())) throw error;
        await sleep(20);
      }
    }
  }

  /** A broken connection to a QEMU that runs is opened again; events in between are lost. */
  #lose(qmp: QmpClient | undefined): void {
    if (qmp === undefined || this.#qmp !== qmp) return;
    this.#qmp = null;
    if (!this.#isReleased) this.#connectLater();
  }

  #connectLater(): void {
    setTimeout(() => {
      if (this.#isReleased || this.process.hasEnded) return;
      this.#connect().catch((error: unknown) => {
        this.logger.warn({ error: describeError(error) }, 'QMP of a guest cannot be opened again');
        this.#connectLater();
      });
    }, RECONNECT_PAUSE_MS).unref();
  }
}

async function makeOverlays(
  platform: QemuPlatform,
  spec: GuestSpec,
  disks: readonly DiskFacts[],
  folder: string,
): Promise<Map<number, string>> {
  const overlays = new Map<number, string>();
  for (const [index, disk] of spec.disks.entries()) {
    if (!disk.snapshot || !disks[index]) continue;
    const overlay = join(folder, `overlay-${index}.qcow2`);
    await rm(overlay, { force: true });
    await platform.tools.run(
      'qemu-img',
      ['create', '-q', '-f', 'qcow2', '-b', disk.path, '-F', disk.format, overlay],
      { timeoutMs: 60_000 },
    );
    overlays.set(index, overlay);
  }
  return overlays;
}
