import { createHash } from 'node:crypto';

import { FRAME_PAYLOAD_BYTES_MAX, FRAME_TYPE, type Frame, FrameReader } from './frame';
import { PAGE_BYTES } from './qemu-stream';
import { contentOf } from './record-framing';
import { StreamDecoder } from './stream-decoder';
import { StreamEncoder } from './stream-encoder';
import { cutsOf } from './testing/cuts-of';
import { decode, encode, keeping } from './testing/round-trip';
import { SAMPLE_BLOCKS, sampleStream } from './testing/sample-stream';
import { SeededChance } from './testing/seeded-chance';
import { StreamWriter } from './testing/stream-writer';
import { RUN_TOKEN_BYTES } from './tokens';

const chance = new SeededChance(11);

/** Every kind of record, with as few pages as possible. */
function briefStream(): Buffer {
  const writer = new StreamWriter().header().command(1).memoryBegin(SAMPLE_BLOCKS).part();
  writer.page('pc.ram', 0, chance.bytes(PAGE_BYTES)).zeroPage('pc.ram', 1).zeroPage('pc.ram', 2);
  writer.encodedPage('pc.ram', 3, chance.bytes(20)).zeroPage('pc.bios', 0, 7).zeroPage('pc.bios', 1);
  writer.multifdFlush().sectionEnd().lastPart().page('pc.ram', 2, new Uint8Array(PAGE_BYTES)).sectionEnd();
  return writer.deviceState(chance.bytes(60)).bytes();
}

function framesOf(link: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame));
  reader.push(link);
  reader.end();
  return frames;
}

const bytesIn = (frames: readonly Uint8Array[]): number =>
  frames.reduce((sum, { length }) => sum + length, 0);

describe('a stream that is encoded and decoded', () => {
  it('is the same, and both ends know what it was', () => {
    const sample = sampleStream();
    const { frames, summary, passThroughReason } = encode(sample.bytes);
    const decoded = decode(Buffer.concat(frames));
    expect(decoded.bytes.equals(sample.bytes)).toBe(true);
    expect(passThroughReason).toBeNull();
    expect(decoded.summary).toEqual(summary);
    expect(summary).toEqual({
      guestBytes: sample.bytes.length,
      pages: sample.zeroPages + sample.rawPages,
      zeroPages: sample.zeroPages,
      rawPages: sample.rawPages,
      samePages: 0,
      deltaPages: 0,
      copiedPages: 0,
      rounds: 2,
      sections: sample.sections,
      sha256: createHash('sha256').update(sample.bytes).digest('hex'),
    });
  });

  it('is the same when it comes cut at any place', () => {
    const bytes = briefStream();
    const whole = encode(bytes, [], keeping(20));
    for (const cut of cutsOf(bytes.length)) {
      const { frames, summary } = encode(bytes, [cut], cut % 5 === 0 ? keeping(20) : {});
      if (!decode(Buffer.concat(frames)).bytes.equals(bytes))
        throw new Error(`It differs when cut at ${cut}.`);
      if (summary.pages !== whole.summary.pages) throw new Error(`It is read otherwise when cut at ${cut}.`);
    }
  });

  it('is the same when it comes byte by byte and its frames come byte by byte', () => {
    const bytes = briefStream();
    const everywhere = (length: number): number[] => Array.from({ length }, (_, index) => index);
    const link = Buffer.concat(encode(bytes, everywhere(bytes.length)).frames);
    expect(decode(link, everywhere(link.length)).bytes.equals(bytes)).toBe(true);
  });

  it('is with the other side up to the last byte after two flushes, at any place', () => {
    const bytes = briefStream();
    for (const cut of cutsOf(bytes.length)) {
      const pieces: Uint8Array[] = [];
      const decoder = new StreamDecoder((piece) => pieces.push(piece));
      const options = cut % 5 === 0 ? keeping(20) : {};
      const encoder = new StreamEncoder((record) => decoder.apply(record), options);
      encoder.push(bytes.subarray(0, cut));
      encoder.flush();
      encoder.flush();
      if (decoder.counters.guestBytes !== cut) throw new Error(`Bytes are held back at ${cut}.`);
      encoder.push(bytes.subarray(cut));
      encoder.end();
      if (!Buffer.concat(pieces).equals(bytes)) throw new Error(`It differs when flushed at ${cut}.`);
      expect(decoder.end().sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
  });

  it('carries a run of zero pages in a few bytes, said by QEMU or not', () => {
    const pageCount = 4_000;
    for (const write of ['zeroPage', 'page'] as const) {
      const writer = new StreamWriter()
        .header()
        .memoryBegin([{ name: 'pc.ram', bytes: pageCount * PAGE_BYTES }]);
      writer.part();
      const zeros = new Uint8Array(PAGE_BYTES);
      for (let index = 0; index < pageCount; index += 1) writer[write]('pc.ram', index, zeros as never);
      const bytes = writer.sectionEnd().bytes();
      const { frames, summary } = encode(bytes);
      expect(decode(Buffer.concat(frames)).bytes.equals(bytes)).toBe(true);
      expect(summary).toMatchObject({ zeroPages: pageCount, rawPages: 0 });
      expect(bytesIn(frames)).toBeLessThan(4_000);
    }
  });

  it('carries runs across 4 GiB, and takes no page that lies elsewhere for the next one', () => {
    const perFourGiB = 2 ** 20;
    const orders = [
      [perFourGiB - 2, perFourGiB - 1, perFourGiB, perFourGiB + 1],
      [perFourGiB - 1, 0, 1],
      [2 * perFourGiB - 1, perFourGiB, 2 * perFourGiB - 1, 2 * perFourGiB],
      [5, 5, 6, 4, 5],
    ];
    const blocks = [
      { name: 'pc.ram', bytes: 3 * 2 ** 32 },
      { name: 'pc.bios', bytes: 2 * PAGE_BYTES },
    ];
    const wireBytes = orders.map((order) => {
      const writer = new StreamWriter().header().memoryBegin(blocks).part();
      for (const index of order) writer.zeroPage('pc.ram', index);
      // The page after, but of another block.
      const bytes = writer.zeroPage('pc.bios', 0).zeroPage('pc.ram', 1).zeroPage('pc.bios', 1).bytes();
      const { frames, passThroughReason } = encode(bytes);
      expect(passThroughReason).toMatch(/middle/);
      expect(decode(Buffer.concat(frames)).bytes.equals(bytes)).toBe(true);
      return bytesIn(frames);
    });
    // The first is one run, the second is two, of one page less.
    expect(wireBytes[1]! - wireBytes[0]!).toBe(RUN_TOKEN_BYTES);
  });

  it('carries raw pages and unknown bytes at less than 1 % above their size', () => {
    const pages = chance.bytes(200 * PAGE_BYTES);
    const writer = new StreamWriter()
      .header()
      .memoryBegin([{ name: 'pc.ram', bytes: pages.length }])
      .part();
    for (let index = 0; index < 200; index += 1)
      writer.page('pc.ram', index, pages.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES));
    for (const bytes of [writer.sectionEnd().bytes(), Buffer.from(pages)]) {
      const { frames } = encode(bytes);
      expect(decode(Buffer.concat(frames)).bytes.equals(bytes)).toBe(true);
      expect(bytesIn(frames)).toBeLessThan(bytes.length * 1.01);
    }
  });

  it('is compared at the end of each round, and at its end', () => {
    const writer = new StreamWriter().header().memoryBegin(SAMPLE_BLOCKS);
    for (let round = 0; round < 4; round += 1) {
      writer.part();
      for (let index = 0; index < 17; index += 1) writer.page('pc.ram', index, chance.bytes(PAGE_BYTES));
      writer.sectionEnd();
    }
    const { frames, summary } = encode(writer.deviceState(chance.bytes(50)).bytes());
    const types = framesOf(Buffer.concat(frames)).map(({ type }) => type);
    expect(summary.rounds).toBe(4);
    expect(types.filter((type) => type === FRAME_TYPE.digest)).toHaveLength(4);
    expect(types.at(-1)).toBe(FRAME_TYPE.digest);
  });

  it('is compared once for many short rounds, as QEMU begins them when nothing is left to copy', () => {
    // 4 KiB and a little each: four times 64 KiB, and the end.
    const writer = new StreamWriter().header().memoryBegin(SAMPLE_BLOCKS);
    for (let round = 0; round < 64; round += 1)
      writer.part().page('pc.ram', 3, chance.bytes(PAGE_BYTES)).zeroPage('pc.ram', 4).sectionEnd();
    const { frames, summary } = encode(writer.deviceState(chance.bytes(50)).bytes());
    const types = framesOf(Buffer.concat(frames)).map(({ type }) => type);
    expect(summary.rounds).toBe(64);
    expect(types.filter((type) => type === FRAME_TYPE.digest)).toHaveLength(5);
    expect(types.at(-1)).toBe(FRAME_TYPE.digest);
  });

  it('is compared now and then when it is not understood', () => {
    const frames: string[] = [];
    const encoder = new StreamEncoder(({ kind }) => frames.push(kind));
    const chunk = Buffer.alloc(1024 * 1024, 'no migration stream');
    for (let mebibytes = 0; mebibytes < 300; mebibytes += 1) encoder.push(chunk);
    expect(frames.filter((kind) => kind === 'digest')).toHaveLength(1);
    expect(encoder.passThroughReason).toMatch(/does not begin/);
  });

  it.each([0, 1, 100, 8_192])('may be anything else: %d random bytes', (length) => {
    const bytes = new SeededChance(length).bytes(length);
    const { frames } = encode(bytes);
    expect(decode(Buffer.concat(frames)).bytes.equals(bytes)).toBe(true);
  });

  it('is never held as more than one batch, whatever is pushed', () => {
    const biggest = { frame: 0, held: 0 };
    let sentBytes = 0;
    const encoder = new StreamEncoder((record) => {
      const { payload } = contentOf(record);
      biggest.frame = Math.max(biggest.frame, payload.length);
      sentBytes += record.kind === 'data' ? record.logicalBytes : 0;
    });
    for (let seed = 1; seed < 30; seed += 1) {
      encoder.push(seed === 1 ? sampleStream(1).bytes : sampleStream(seed).bytes);
      biggest.held = Math.max(biggest.held, encoder.counters.guestBytes - sentBytes);
    }
    expect(biggest.frame).toBeLessThan(FRAME_PAYLOAD_BYTES_MAX);
    expect(biggest.held).toBeLessThan(4 * 1024 * 1024 + 8 * 1024);
  });
});
