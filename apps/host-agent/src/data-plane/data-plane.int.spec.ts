import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import {
  availableCodecs,
  type Frame,
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
  MemoryStream,
} from '@watari/migration-core';
import { pino } from 'pino';

import { SourceStream } from '../moves/source-stream';
import { TargetStream } from '../moves/target-stream';
import { DataPlane } from './data-plane';
import type { LoadedHistory } from './messages';

// Threads start with the workspace's TypeScript, which is compiled then.
jest.setTimeout(120_000);

const RUN_TYPESCRIPT = join(__dirname, '../../../../tools/workspace/run-typescript.cjs');
const PAGE_BYTES = 4_096;
const PAGES = 3_000;
const GUEST = { guestId: 'guest', tenant: null, memoryMiB: 8 };

let folder: string;
let planes: DataPlane[];
let workers: Worker[];

async function startPlane(name: string): Promise<DataPlane> {
  return DataPlane.start({ root: join(folder, name) }, {}, pino({ level: 'silent' }), (settings) => {
    const worker = new Worker(join(__dirname, 'worker.ts'), {
      workerData: settings,
      execArgv: ['--conditions=@watari/source', '--require', RUN_TYPESCRIPT],
    });
    workers.push(worker);
    return worker;
  });
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watari-plane-'));
  workers = [];
  planes = [];
  for (const name of ['source', 'target']) {
    await mkdir(join(folder, name));
    planes.push(await startPlane(name));
  }
});

afterEach(async () => {
  await Promise.all(planes.map((plane) => plane.close()));
  await rm(folder, { recursive: true, force: true });
});

/** What a guest with these pages is migrated as: all of them, then those that it wrote meanwhile. */
function streamOf(pages: readonly Buffer[]): Buffer {
  const stream = new MemoryStream([{ name: 'pc.ram', bytes: PAGES * PAGE_BYTES }]);
  const pieces = [stream.begin(), stream.pages(0, Buffer.concat(pages)), stream.endRound()];
  for (let index = 0; index < pages.length; index += 5) pieces.push(stream.pages(index, pages[index]!));
  return Buffer.concat([...pieces, stream.endRound()]);
}

/** The target's QEMU, as far as a stream knows it. */
async function listenAsQemu(path: string): Promise<{ server: Server; received: Promise<Buffer> }> {
  const pieces: Buffer[] = [];
  let done: (bytes: Buffer) => void = () => undefined;
  const received = new Promise<Buffer>((resolve) => (done = resolve));
  const server = createServer((socket) => {
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    socket.on('end', () => done(Buffer.concat(pieces)));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { server, received };
}

interface Trip {
  readonly received: Buffer;
  readonly wireBytes: number;
  readonly counters: SourceStream['counters'];
  readonly isHistoryShared: boolean;
}

/** What the plane has of the guest, read. */
async function load(plane: DataPlane): Promise<LoadedHistory | null> {
  const [historyId] = await plane.findHistories(GUEST);
  return historyId === undefined ? null : plane.loadHistory(GUEST, historyId, PAGES);
}

/** A whole stream from one plane through the other, with frames that go straight from hand to hand. */
async function travel(bytes: Buffer, historyId: string): Promise<Trip> {
  const [from, to] = planes as [DataPlane, DataPlane];
  const [ours, theirs] = await Promise.all([load(from), load(to)]);
  const codecs = availableCodecs().map(({ id }) => id);
  const qemu = await listenAsQemu(join(folder, 'in'));
  const writer = new FrameWriter(1);
  const backWriter = new FrameWriter(1);
  let wireBytes = 0;
  let failure: Error | null = null;
  const back = new FrameReader((frame) => source.take(frame), { epoch: 1 });
  const target = await TargetStream.open(
    to,
    {
      writer: backWriter,
      sendFrame: (frame) => back.push(frame),
      pauseReading: () => undefined,
      resumeReading: () => undefined,
    },
    { onReturnPathEnd: () => undefined, onError: (error) => (failure = error) },
    {
      codecs,
      mirrorPagesMax: PAGES,
      layoutPagesMax: PAGES,
      loadedId: theirs?.loadedId ?? null,
      socketPath: join(folder, 'in'),
    },
  );
  const reader = new FrameReader((frame: Frame) => target.take(frame), { epoch: 1 });
  const sink = {
    isFull: false,
    writer,
    sendFrame: (frame: Uint8Array) => {
      wireBytes += frame.length;
      reader.push(frame);
    },
  };
  const source: SourceStream = await SourceStream.open(from, sink, {
    codecs,
    mirrorPagesMax: PAGES,
    history: ours && theirs ? { loadedId: ours.loadedId, theirChunks: theirs.chunks } : null,
  });
  target.begin(source.sharedChunks);
  await source.listen(join(folder, 'out'));
  const qemuOut = connect(join(folder, 'out'));
  qemuOut.resume().end(bytes);
  const { sha256 } = await source.ended;
  await target.rebuilt();
  expect(failure).toBeNull();
  expect(target.summary?.sha256).toBe(sha256);
  target.end();
  const received = await qemu.received;
  const { counters } = source;
  await source.keepHistory(GUEST, historyId);
  await target.keepHistory(GUEST, historyId);
  source.close();
  target.close();
  qemuOut.destroy();
  qemu.server.close();
  return { received, wireBytes, counters, isHistoryShared: source.sharedChunks !== null };
}

it('carries a stream byte by byte, and the same guest the next time for next to nothing', async () => {
  const pages = Array.from({ length: PAGES }, () => randomBytes(PAGE_BYTES));
  const first = streamOf(pages);
  const there = await travel(first, 'ab'.repeat(32));
  expect(there.received.equals(first)).toBe(true);
  expect(there.counters.guestBytes).toBe(first.length);
  expect(there.isHistoryShared).toBe(false);
  for (let index = 0; index < PAGES; index += 100) pages[index]!.write('changed', 64);
  const second = streamOf(pages);
  const again = await travel(second, 'cd'.repeat(32));
  expect(again.received.equals(second)).toBe(true);
  expect(again.isHistoryShared).toBe(true);
  expect(again.wireBytes).toBeLessThan(there.wireBytes / 50);
});

it('lists and removes what it keeps', async () => {
  const [plane] = planes;
  await travel(streamOf([randomBytes(PAGE_BYTES)]), 'ef'.repeat(32));
  // Kept in the background; loading waits for it.
  plane!.dropHistory(await load(plane!));
  expect(await plane!.listHistories()).toMatchObject([
    { description: { guestId: 'guest', historyId: 'ef'.repeat(32) } },
  ]);
  expect(await plane!.removeHistory('guest')).toBe(true);
  expect(await plane!.removeHistory('guest')).toBe(false);
  expect(await plane!.listHistories()).toEqual([]);
});

it('cuts QEMU off when the stream is given up', async () => {
  const [plane] = planes;
  const sink = { isFull: false, writer: new FrameWriter(1), sendFrame: () => undefined };
  const source = await SourceStream.open(plane!, sink, { codecs: [0], mirrorPagesMax: PAGES, history: null });
  await source.listen(join(folder, 'out'));
  const qemu = connect(join(folder, 'out'));
  await new Promise((resolve) => qemu.once('connect', resolve));
  // Closed or reset: to QEMU it is the same.
  qemu.on('error', () => undefined);
  const closed = new Promise((resolve) => qemu.resume().once('close', resolve));
  source.close();
  await expect(source.ended).rejects.toMatchObject({ code: 'STREAM_CLOSED' });
  await closed;
});

it('refuses on the target what no source can have sent', async () => {
  const [, to] = planes;
  const qemu = await listenAsQemu(join(folder, 'in'));
  const failed = new Promise<Error>((resolve) => {
    void TargetStream.open(
      to!,
      {
        writer: new FrameWriter(1),
        sendFrame: () => undefined,
        pauseReading: () => undefined,
        resumeReading: () => undefined,
      },
      { onReturnPathEnd: () => undefined, onError: resolve },
      {
        codecs: [0],
        mirrorPagesMax: PAGES,
        layoutPagesMax: PAGES,
        loadedId: null,
        socketPath: join(folder, 'in'),
      },
    ).then((target) => {
      target.begin(null);
      target.take({
        type: FRAME_TYPE.layout,
        sequence: 1,
        epoch: 1,
        baseGeneration: 0,
        pageCount: 0,
        logicalBytes: 0,
        payload: randomBytes(200),
      });
    });
  });
  expect(await failed).toMatchObject({ code: expect.stringMatching(/^LAYOUT_/) });
  qemu.server.close();
});

it('fails the streams under way when its thread ends, and goes on with another', async () => {
  const [plane] = planes;
  const sink = { isFull: false, writer: new FrameWriter(1), sendFrame: () => undefined };
  const source = await SourceStream.open(plane!, sink, { codecs: [0], mirrorPagesMax: PAGES, history: null });
  await source.listen(join(folder, 'out'));
  await workers[0]!.terminate();
  await expect(source.ended).rejects.toMatchObject({ code: 'DATA_PLANE_ENDED' });
  expect(await plane!.listHistories()).toEqual([]);
  expect(workers).toHaveLength(3);
});
