import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel, type MessagePort } from 'node:worker_threads';

import type { Frame } from '@watari/migration-core';
import { pino } from 'pino';

import type { DataPlane } from '../data-plane/data-plane';
import { AgentError } from '../errors';
import type { Guest } from '../guests/guest';
import type { Guests } from '../guests/guests';
import type { QemuPlatform } from '../qemu/platform';
import type { DataLink } from './data-link';
import { MOVE_PROTOCOL_VERSION, type SourceMessage, type TargetMessage } from './messages';
import { TargetMove } from './target-move';

/** Something that takes until it is let go on. */
class Gate {
  readonly passed: Promise<void>;
  open: () => void = () => undefined;

  constructor() {
    this.passed = new Promise((resolve) => (this.open = resolve));
  }
}

/** A link that writes down what is said, and closes when it is told to. */
class WrittenLink {
  readonly events = new EventEmitter();
  readonly said: string[] = [];
  isClosed = false;

  tell(message: TargetMessage): void {
    if (!this.isClosed) this.said.push('code' in message ? `${message.kind} ${message.code}` : message.kind);
  }

  end(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.said.push('bye');
    this.events.emit('closed', null);
  }

  abort(): void {
    this.end();
  }

  limitLoss(): void {
    this.said.push('limit');
  }

  hear(message: SourceMessage): void {
    this.events.emit('message', message);
  }
}

const ANNOUNCE: SourceMessage = {
  kind: 'announce',
  protocolVersion: MOVE_PROTOCOL_VERSION,
  moveId: 'move-1',
  spec: { guestId: 'web-1', memoryMiB: 32, vcpus: 1, machine: 'pc', disks: [], nics: [] },
  shape: { machineType: 'pc-i440fx-9.0', cpuModel: 'Nehalem-v1', accelerator: 'tcg' },
  qemuVersion: '10.0.2',
  sourceApiUrl: 'https://127.0.0.1:1',
  pageCopy: { codecs: [0], mirrorPagesMax: 0 },
  histories: [],
};
const CANCEL: SourceMessage = { kind: 'cancel', code: 'MOVE_CANCELLED', reason: 'by request' };

describe('the target of a move that fails while another step is under way', () => {
  let folder: string;
  let link: WrittenLink;
  let built: Gate;
  let streamOpened: Gate;
  let discarded: Gate;
  let discards: number;
  let isMachineGone: boolean;
  let ports: MessagePort[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-target-'));
    link = new WrittenLink();
    [built, streamOpened, discarded] = [new Gate(), new Gate(), new Gate()];
    discards = 0;
    isMachineGone = false;
    ports = [];
    const machine = {
      execute: async () => {
        if (isMachineGone) throw new AgentError('GUEST_ENDED', 'The machine is gone.');
        return {};
      },
      // It has no capabilities.
      ask: async () => [],
    };
    const guest = { guestId: 'web-1', events: new EventEmitter(), machine, hasMachine: true };
    const plane = {
      findHistories: async () => [],
      dropHistory: () => undefined,
      openIncoming: async () => {
        await streamOpened.passed;
        const { port1, port2 } = new MessageChannel();
        ports.push(port2);
        return port1;
      },
    };
    new TargetMove(link as unknown as DataLink<SourceMessage, TargetMessage>, 'a', {
      guests: {
        receive: async () => {
          await built.passed;
          return guest as unknown as Guest;
        },
      } as unknown as Guests,
      platform: {
        accelerator: 'tcg',
        machineTypes: new Set(['pc-i440fx-9.0']),
        qemuVersion: '10.0.2',
      } as unknown as QemuPlatform,
      bootId: 'boot',
      logger: pino({ level: 'silent' }),
      plane: plane as unknown as DataPlane,
      mirrorBytesMax: 0,
      inSocket: () => join(folder, 'in'),
      discard: async () => {
        discards += 1;
        isMachineGone = true;
        await discarded.passed;
      },
      askSource: () => link.said.push('asks the source'),
    });
  });
  afterEach(async () => {
    for (const port of ports) port.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Lets everything happen that can. */
  async function settle(): Promise<void> {
    for (let count = 0; count < 20; count += 1) await turn();
  }

  it('tells the cause before it ends the link, whatever comes while the guest is put away', async () => {
    built.open();
    streamOpened.open();
    link.hear(ANNOUNCE);
    await settle();
    expect(link.said).toEqual(['agreed', 'ready']);
    link.hear({ kind: 'begin', chunks: null });
    link.events.emit('broken', new AgentError('FRAME_CHECKSUM', 'A frame was damaged.'));
    // What was on its way still comes.
    link.events.emit('frame', { type: 1 } as Frame);
    link.hear({ kind: 'stream-ended' });
    await settle();
    expect(link.said).toEqual(['agreed', 'ready']);
    discarded.open();
    await settle();
    expect(link.said).toEqual(['agreed', 'ready', 'refused FRAME_CHECKSUM', 'bye']);
    expect(discards).toBe(1);
  });

  it('is never ready once it was given up, though the stream was being opened', async () => {
    built.open();
    link.hear(ANNOUNCE);
    await settle();
    link.hear(CANCEL);
    streamOpened.open();
    await settle();
    expect(link.said).toEqual(['agreed']);
    discarded.open();
    await settle();
    expect(link.said).toEqual(['agreed', 'refused MOVE_CANCELLED', 'bye']);
    expect(discards).toBe(1);
  });

  it('refuses only when the machine that was being built is put away', async () => {
    link.hear(ANNOUNCE);
    await settle();
    link.hear(CANCEL);
    await settle();
    expect(link.said).toEqual(['agreed']);
    built.open();
    await settle();
    expect(discards).toBe(1);
    expect(link.said).toEqual(['agreed']);
    discarded.open();
    await settle();
    expect(link.said).toEqual(['agreed', 'refused MOVE_CANCELLED', 'bye']);
  });

  it('puts a machine away that stood only after the link was lost', async () => {
    link.hear(ANNOUNCE);
    await settle();
    link.end();
    built.open();
    discarded.open();
    await settle();
    expect(discards).toBe(1);
    expect(link.said).toEqual(['agreed', 'bye']);
  });

  it('builds no machine for a source that gave up at once', async () => {
    link.hear(ANNOUNCE);
    link.hear(CANCEL);
    built.open();
    streamOpened.open();
    discarded.open();
    await settle();
    expect(discards).toBe(0);
    expect(link.said).toEqual(['refused MOVE_CANCELLED', 'bye']);
  });
});
