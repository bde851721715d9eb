import { FrameWriter } from '../frame';
import { codeOf } from '../testing/code-of';
import { PageReceiver } from './page-receiver';
import { PageSender } from './page-sender';
import { PageSet } from './page-set';
import { PageRequests, postCopy, PostCopyTarget } from './post-copy';
import { preCopy, stopAndCopy } from './pre-copy';
import { ReceivedMemory, WrittenMemory } from './testing/written-memory';

const LIMITS = { downtimeLimitMs: 300 };

/** A source, its target, and a link between them. */
function pair(seed = 1, mirrorPagesMax = 1_000) {
  const source = new WrittenMemory(seed);
  const target = new ReceivedMemory();
  const receiver = new PageReceiver(target);
  const sender = new PageSender(source, { send: (frame) => receiver.push(frame), mirrorPagesMax });
  return { source, target, receiver, sender };
}

describe('copying pages that are being written', () => {
  it('ends with all of them on the other side, and both hashes equal', async () => {
    const { source, target, receiver, sender } = pair();
    const { next, left, rounds } = await preCopy(source, sender, { limits: LIMITS });
    expect(next).toBe('stop-and-copy');
    expect(rounds).toBeGreaterThanOrEqual(2);
    expect(source.calls).toEqual([]);
    const { summary, pausedMs } = await stopAndCopy(source, sender, left);
    expect(source.calls).toEqual(['pause']);
    expect(pausedMs).toBeGreaterThan(0);
    expect(receiver.end()).toMatchObject({ sha256: summary.sha256 });
    expect(Buffer.compare(target.bytes, source.bytes)).toBe(0);
    expect(target.flushes).toBe(1);
    // Pages that came again crossed as what changed in them.
    expect(summary.deltaPages).toBeGreaterThan(0);
    expect(summary.zeroPages).toBeGreaterThanOrEqual(130);
  });

  it('goes on while too much is written for the pause, and says why', async () => {
    const { source, sender } = pair();
    source.writesPerLook = 40;
    const reasons: string[] = [];
    const abort = new AbortController();
    const copying = preCopy(source, sender, {
      limits: { ...LIMITS, downtimeLimitMs: 1 },
      onDecision: ({ reason, isReady }) => {
        reasons.push(reason);
        expect(isReady).toBe(false);
        if (reasons.length === 30) abort.abort(new Error('seen enough'));
      },
      signal: abort.signal,
    });
    await expect(copying).rejects.toThrow('seen enough');
    expect(source.calls).toEqual([]);
    expect(reasons.at(-1)).toMatch(/pause/);
  });

  it('is given up by the planner when its time is over', async () => {
    const { source, sender } = pair();
    source.writesPerLook = 40;
    let nowMs = 0;
    const copying = preCopy(source, sender, {
      limits: { downtimeLimitMs: 1, totalMsMax: 60_000 },
      nowMs: () => (nowMs += 500),
    });
    await expect(copying).rejects.toMatchObject({ code: 'COPY_GIVEN_UP' });
    expect(source.calls).toEqual([]);
  });

  it('resumes the source when the last of it cannot be sent', async () => {
    const source = new WrittenMemory(3);
    let isCut = false;
    const send = () => (isCut ? Promise.reject(new Error('the link was cut')) : Promise.resolve());
    const sender = new PageSender(source, { send });
    const { left } = await preCopy(source, sender, { limits: LIMITS });
    isCut = true;
    await expect(stopAndCopy(source, sender, left)).rejects.toThrow('the link was cut');
    expect(source.calls).toEqual(['pause', 'resume']);
  });

  it('lets the target be used at once by post-copy, and gives it each page that it waits for', async () => {
    const { source, target } = pair(4);
    await source.pause();
    const missing = await source.takeDirty();
    const requests = new PageRequests();
    const asked: number[] = [];
    const used = new PostCopyTarget(target, PageSet.fromBytes(320, missing.toBytes()), (page) => {
      asked.push(page);
      requests.request(page);
    });
    const receiver = new PageReceiver(used);
    const order: number[] = [];
    const slow = new PageSender(source, {
      send: async (frame) => {
        await receiver.push(frame);
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    const using = Promise.all(
      [310, 7, 310, 155].map(async (page) => {
        await used.need(page);
        order.push(page);
        expect(target.bytes.subarray(page * 4_096, (page + 1) * 4_096)).toEqual(
          source.bytes.subarray(page * 4_096, (page + 1) * 4_096),
        );
      }),
    );
    const progress: number[] = [];
    const summary = await postCopy(slow, missing, requests, (left) => progress.push(left));
    await using;
    expect(asked).toEqual([310, 7, 155]);
    expect(order).toEqual([310, 310, 7, 155]);
    // Neighbours came with what was asked for, long before their turn.
    expect(progress.slice(0, 3)).toEqual([312, 304, 296]);
    expect(receiver.summary?.sha256).toBe(summary.sha256);
    expect(Buffer.compare(target.bytes, source.bytes)).toBe(0);
    await expect(used.need(5)).resolves.toBeUndefined();
  });

  it('says that all is lost when the link is, in post-copy, and tells those who wait', async () => {
    const source = new WrittenMemory(5);
    await source.pause();
    const missing = await source.takeDirty();
    const used = new PostCopyTarget(new ReceivedMemory(), PageSet.all(320), () => undefined);
    const waiting = used.need(9);
    const sender = new PageSender(source, { send: () => Promise.reject(new Error('cut')) });
    const error = await postCopy(sender, missing, new PageRequests()).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'COPY_LOST' });
    used.fail(error as Error);
    await expect(waiting).rejects.toMatchObject({ code: 'COPY_LOST' });
    await expect(used.need(10)).rejects.toMatchObject({ code: 'COPY_LOST' });
  });
});

describe('a receiver of pages', () => {
  it('refuses a source of other blocks than its target, before a page is written', async () => {
    const source = new WrittenMemory(1);
    const target = new ReceivedMemory();
    const smaller = Object.assign(target, { blocks: [{ name: 'pc.ram', bytes: 320 * 4_096 }] });
    const receiver = new PageReceiver(smaller);
    const sender = new PageSender(source, { send: (frame) => receiver.push(frame) });
    await expect(sender.sendPages(PageSet.all(320))).rejects.toMatchObject({ code: 'COPY_BLOCKS_DIFFER' });
    expect(target.bytes.every((byte) => byte === 0xee)).toBe(true);
  });

  it('refuses what is no copy of pages, and what is no frame', async () => {
    const frames: Uint8Array[] = [];
    const sender = new PageSender(new WrittenMemory(1), {
      send: (frame) => void frames.push(frame) as never,
    });
    await sender.sendPages(PageSet.all(320));
    await sender.end();
    const cut = new PageReceiver(new ReceivedMemory());
    await cut.push(frames[0]!);
    expect(codeOf(() => cut.end())).toBe('STREAM_TRUNCATED');
    const other = new PageReceiver(new ReceivedMemory(), { epoch: 2 });
    await expect(other.push(frames[0]!)).rejects.toMatchObject({ code: 'FRAME_EPOCH' });
    await expect(other.push(frames[0]!)).rejects.toMatchObject({ code: 'FRAME_EPOCH' });
    const garbage = new PageReceiver(new ReceivedMemory());
    const token = Uint8Array.from([1, 0, 0, 0, 9]);
    const heads = new Uint8Array(26);
    new DataView(heads.buffer).setUint32(0, 5);
    new DataView(heads.buffer).setUint32(12, 9);
    heads[20] = 1;
    new DataView(heads.buffer).setUint32(22, 14);
    const payload = Buffer.concat([heads, token, Buffer.from('no stream')]);
    const frame = new FrameWriter(1).frame(2, payload, { logicalBytes: 9 });
    await expect(garbage.push(frame)).rejects.toMatchObject({ code: 'COPY_STREAM_INVALID' });
  });
});

describe('a set of pages', () => {
  it('gives its runs in order, and is the same after being told by bytes', () => {
    const set = new PageSet(100);
    for (const page of [0, 1, 2, 40, 63, 64, 99]) set.add(page);
    expect([...set.runs(2)]).toEqual([
      { firstPage: 0, pageCount: 2 },
      { firstPage: 2, pageCount: 1 },
      { firstPage: 40, pageCount: 1 },
      { firstPage: 63, pageCount: 2 },
      { firstPage: 99, pageCount: 1 },
    ]);
    const again = PageSet.fromBytes(100, set.toBytes());
    expect([...again.runs(100)]).toEqual([...set.runs(100)]);
    expect([again.size, again.delete(40), again.delete(40), again.size]).toEqual([7, true, false, 6]);
    expect(() => PageSet.fromBytes(100, new Uint8Array(12))).toThrow(RangeError);
    expect(() => set.add(100)).toThrow(RangeError);
  });
});
