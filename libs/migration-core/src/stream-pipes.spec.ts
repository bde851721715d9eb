import { PassThrough, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { FRAME_LOGICAL_BYTES_MAX, FRAME_TYPE, FrameWriter } from './frame';
import { PAGE_BYTES } from './qemu-stream';
import { storeSections } from './record-packing';
import { encodeLayout, PageLayout } from './reduction/page-layout';
import type { StreamSummary } from './stream-encoder';
import { decodeStream, encodeStream } from './stream-pipes';
import { EPOCH } from './testing/round-trip';
import { sampleStream } from './testing/sample-stream';
import { StreamWriter } from './testing/stream-writer';
import { TOKEN } from './tokens';

async function* cutEvery(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const chunk of chunks) pieces.push(chunk);
  return Buffer.concat(pieces);
}

const options = { epoch: EPOCH };

describe('streams in pipes', () => {
  it('come out as they went in, and both ends tell the same', async () => {
    const { bytes } = sampleStream();
    const summaries: StreamSummary[] = [];
    const noted = { epoch: EPOCH, onEnd: (summary: StreamSummary) => void summaries.push(summary) };
    const link = new PassThrough();
    const sending = pipeline(Readable.from(cutEvery(bytes, 10_000)), (c) => encodeStream(c, noted), link);
    const rebuilt = await collect(decodeStream(link, noted));
    await sending;
    expect(rebuilt.equals(bytes)).toBe(true);
    expect(summaries).toHaveLength(2);
    expect(summaries[0]).toEqual(summaries[1]);
  });

  it('send what they have when nothing more comes', async () => {
    const { bytes } = sampleStream();
    const source = new PassThrough();
    const received: Uint8Array[] = [];
    const arrived = new Promise<void>((resolve) => {
      const target = new Writable({
        write(chunk: Uint8Array, _, done) {
          received.push(chunk);
          if (Buffer.concat(received).length === 5_000) resolve();
          done();
        },
      });
      void pipeline(
        source,
        (c) => encodeStream(c, options),
        (c) => decodeStream(c, options),
        target,
      );
    });
    source.write(bytes.subarray(0, 5_000));
    await arrived;
    source.end();
  });

  it('rebuild no more than the reader has room for, however little stands for it', async () => {
    // About 100 bytes each, and each stands for nearly 8 MiB of zero pages.
    const count = Math.floor(FRAME_LOGICAL_BYTES_MAX / (8 + PAGE_BYTES));
    const writer = new FrameWriter(EPOCH);
    const nothing = new Uint8Array(0);
    const rest = { masks: nothing, literals: nothing, content: nothing, opaque: nothing };
    const layout = new PageLayout([{ name: 'pc.ram', bytes: 2 ** 30 }]);
    const note = encodeLayout({ layout, generation: 0, mirrorPagesMax: 0 });
    const link = Buffer.concat([
      writer.frame(FRAME_TYPE.layout, note),
      ...Array.from({ length: 100 }, () => {
        const tokens = new StreamWriter().raw([TOKEN.zeroPages, 0, 0]).u64(0x28).u32(count).bytes();
        const logicalBytes = count * (8 + PAGE_BYTES);
        return writer.frame(FRAME_TYPE.data, storeSections({ tokens, ...rest }), { logicalBytes });
      }),
    ]);
    const before = process.memoryUsage().arrayBuffers;
    let pieces = 0;
    for await (const piece of decodeStream(cutEvery(link, 65_536), options)) {
      expect(piece.length).toBe(count * (8 + PAGE_BYTES));
      pieces += 1;
      if (pieces === 3) break;
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  });

  it('fail when the link ends early, and close their source', async () => {
    const { bytes } = sampleStream();
    const link = await collect(encodeStream(cutEvery(bytes, 65_536), options));
    for (const [length, code] of [
      [link.length - 1, 'FRAME_TRUNCATED'],
      [link.length - 97, 'STREAM_TRUNCATED'],
      [0, 'STREAM_TRUNCATED'],
    ] as const) {
      const source = Readable.from(cutEvery(link.subarray(0, length), 4_096));
      await expect(collect(decodeStream(source, options))).rejects.toMatchObject({ code });
      expect(source.destroyed).toBe(true);
    }
  });

  it('close a source that says nothing when their reader leaves', async () => {
    const source = new PassThrough();
    source.write(sampleStream().bytes.subarray(0, 5_000));
    for await (const frame of encodeStream(source, options)) {
      expect(frame.length).toBeGreaterThan(0);
      break;
    }
    source.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.destroyed).toBe(true);
  });

  it('hand on the failure of their source', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield sampleStream().bytes.subarray(0, 100);
      throw new Error('QEMU is gone');
    }
    await expect(collect(encodeStream(failing(), options))).rejects.toThrow('QEMU is gone');
  });
});
