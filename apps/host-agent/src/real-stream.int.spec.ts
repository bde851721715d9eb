import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { createHostTools, ensureHostTools, qemuDataDirs } from '@watari/host-tools';

import {
  emptyMirror,
  PAGE_BYTES,
  StreamDecoder,
  StreamEncoder,
  type StreamSummary,
} from '@watari/migration-core';

const MEMORY_BYTES = 64 * 1024 * 1024;
/** Generous: software emulation on a crowded machine. */
const QEMU_MS = 120_000;

type Reply = { return?: unknown; error?: { desc: string }; event?: string; QMP?: unknown };

/** A guest of nothing but firmware and a display, so that memory has several blocks, told what to do by QMP. */
class FirmwareGuest {
  readonly #replies: ((reply: Reply) => void)[] = [];

  private constructor(
    private readonly child: ChildProcess,
    private readonly control: Socket,
  ) {
    createInterface({ input: control }).on('line', (line) => {
      const reply = JSON.parse(line) as Reply;
      if (reply.event === undefined && reply.QMP === undefined) this.#replies.shift()?.(reply);
    });
  }

  static async start(name: string, folder: string, more: readonly string[] = []): Promise<FirmwareGuest> {
    const tools = createHostTools();
    const controlPath = join(folder, `${name}.qmp`);
    const dataDirs = (await qemuDataDirs(tools)).flatMap((dir) => ['-L', dir]);
    const child = await tools.spawn(
      'qemu-system-x86_64',
      [
        ...dataDirs,
        ...['-nodefaults', '-no-user-config', '-machine', 'pc,accel=tcg', '-m', '64', '-display', 'none'],
        ...['-vga', 'std', '-qmp', `unix:${controlPath},server=on,wait=off`, ...more],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const control = await until('QEMU to listen', () => tryConnect(controlPath));
    const guest = new FirmwareGuest(child, control);
    await guest.execute('qmp_capabilities');
    return guest;
  }

  async execute<Result>(execute: string, options: object = {}): Promise<Result> {
    const reply = await new Promise<Reply>((resolve) => {
      this.#replies.push(resolve);
      this.control.write(`${JSON.stringify({ execute, arguments: options })}\n`);
    });
    if (reply.error) throw new Error(`${execute}: ${reply.error.desc}`);
    return reply.return as Result;
  }

  migrationEnds(): Promise<string> {
    return until('the migration to end', async () => {
      const { status } = await this.execute<{ status?: string }>('query-migrate');
      return status === 'completed' || status === 'failed' ? status : null;
    });
  }

  /** The guest's memory from an address on, as a monitor shows it. */
  memory(address: number, words: number): Promise<string> {
    return this.execute('human-monitor-command', {
      'command-line': `xp /${words}wx 0x${address.toString(16)}`,
    });
  }

  async stop(): Promise<void> {
    this.control.destroy();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

async function tryConnect(path: string): Promise<Socket | null> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    return null;
  }
}

async function until<Value>(what: string, look: () => Promise<Value | null>): Promise<Value> {
  const givenUpMs = Date.now() + QEMU_MS;
  for (;;) {
    const value = await look();
    if (value !== null) return value;
    if (Date.now() > givenUpMs) throw new Error(`Waited ${QEMU_MS} ms for ${what}.`);
    await sleep(100);
  }
}

/** What QEMU writes when it migrates into a socket, with the places at which the reads ended. */
async function capture(guest: FirmwareGuest, socketPath: string): Promise<{ bytes: Buffer; cuts: number[] }> {
  const chunks: Buffer[] = [];
  const cuts: number[] = [];
  let length = 0;
  const server = createServer((socket) =>
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      cuts.push((length += chunk.length));
    }),
  );
  server.listen(socketPath);
  await once(server, 'listening');
  const connected = once(server, 'connection') as Promise<[Socket]>;
  await guest.execute('migrate', { uri: `unix:${socketPath}` });
  const [socket] = await connected;
  if (!socket.readableEnded) await once(socket, 'end');
  server.close();
  expect(await guest.migrationEnds()).toBe('completed');
  return { bytes: Buffer.concat(chunks), cuts: cuts.slice(0, -1) };
}

interface Passage {
  readonly rebuilt: Buffer;
  readonly sent: StreamSummary;
  readonly received: StreamSummary;
  /** What had to be said, before compression. */
  readonly contentBytes: number;
  readonly passThroughReason: string | null;
}

/** Sends a stream, cut at the offsets, through an encoder and a decoder. */
function pass(bytes: Buffer, cuts: readonly number[]): Passage {
  const pieces: Uint8Array[] = [];
  const decoder = new StreamDecoder((piece) => pieces.push(piece));
  let contentBytes = 0;
  const encoder = new StreamEncoder(
    (record) => {
      if (record.kind === 'data')
        for (const section of Object.values(record.sections)) contentBytes += (section as Uint8Array).length;
      decoder.apply(record);
    },
    { startMirror: (layout) => ({ mirror: emptyMirror(layout, layout.pageCount), generation: 0 }) },
  );
  [0, ...cuts].forEach((from, index) => encoder.push(bytes.subarray(from, cuts[index] ?? bytes.length)));
  const sent = encoder.end();
  const { passThroughReason } = encoder;
  return { rebuilt: Buffer.concat(pieces), sent, received: decoder.end(), contentBytes, passThroughReason };
}

describe('a stream of a real QEMU', () => {
  let folder: string;
  const guests: FirmwareGuest[] = [];
  let paused: { bytes: Buffer; cuts: number[]; memory: string };

  const start = async (name: string, more: readonly string[] = []): Promise<FirmwareGuest> => {
    const guest = await FirmwareGuest.start(name, folder, more);
    guests.push(guest);
    return guest;
  };

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64']);
    folder = await mkdtemp(join(tmpdir(), 'watari-stream-'));
    const guest = await start('source');
    // The firmware fills its tables while it looks in vain for something to boot.
    await sleep(3_000);
    await guest.execute('stop');
    paused = {
      ...(await capture(guest, join(folder, 'paused.sock'))),
      memory: await guest.memory(0, 1_024),
    };
  }, 600_000);

  afterAll(async () => {
    for (const guest of guests) await guest.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  function check({ rebuilt, sent, received, passThroughReason }: Passage, bytes: Buffer): void {
    expect(rebuilt.equals(bytes)).toBe(true);
    expect(received).toEqual(sent);
    expect(passThroughReason).toBeNull();
    // All of the memory was seen as pages, and nothing of it went by unread.
    expect(sent.pages * PAGE_BYTES).toBeGreaterThan(MEMORY_BYTES);
    const wholePages = sent.pages - sent.zeroPages;
    expect(sent.guestBytes - wholePages * (8 + PAGE_BYTES) - sent.zeroPages * 9).toBeLessThan(200_000);
  }

  it('is understood to its end and rebuilt byte by byte, cut as it was read', () => {
    const passage = pass(paused.bytes, paused.cuts);
    check(passage, paused.bytes);
    const { zeroPages, pages, guestBytes } = passage.sent;
    // Firmware uses little of 64 MiB.
    expect(zeroPages / pages).toBeGreaterThan(0.9);
    expect(passage.contentBytes).toBeLessThan(guestBytes - 8 * zeroPages);
  });

  it('wakes up in another QEMU with the same memory after it was rebuilt', async () => {
    const socketPath = join(folder, 'incoming.sock');
    const target = await start('target', ['-incoming', `unix:${socketPath}`]);
    const { rebuilt } = pass(paused.bytes, []);
    const socket = await until('the target to listen', () => tryConnect(socketPath));
    socket.end(rebuilt);
    expect(await target.migrationEnds()).toBe('completed');
    // Interrupt vectors and tables that only running firmware writes.
    expect(paused.memory).toMatch(/0xf000[0-9a-f]{4}/);
    expect(await target.memory(0, 1_024)).toBe(paused.memory);
    await target.execute('cont');
    expect(await target.execute('query-status')).toMatchObject({ status: 'running' });
  }, 300_000);

  it('is understood when the guest runs and writes meanwhile', async () => {
    const guest = await start('busy');
    // Slow enough for the firmware to change what has been sent.
    await guest.execute('migrate-set-parameters', { 'max-bandwidth': 1024 * 1024, 'downtime-limit': 20 });
    const running = await capture(guest, join(folder, 'running.sock'));
    const passage = pass(running.bytes, running.cuts);
    check(passage, running.bytes);
    expect(passage.sent.rounds).toBeGreaterThanOrEqual(2);
    // What comes again has changed a little, or not at all.
    expect(passage.sent.samePages + passage.sent.deltaPages).toBeGreaterThan(0);
  }, 300_000);
});
