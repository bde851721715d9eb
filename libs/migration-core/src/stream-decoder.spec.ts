import { FRAME_LOGICAL_BYTES_MAX, FrameReader } from './frame';
import { PAGE_BYTES } from './qemu-stream';
import { storedRecordOf } from './record-framing';
import { encodeLayout, PageLayout } from './reduction/page-layout';
import { LINES_PER_PAGE } from './reduction/scratch';
import { StreamDecoder, type StreamDecoderOptions } from './stream-decoder';
import type { StreamRecord } from './stream-record';
import { codeOf } from './testing/code-of';
import { encode, keeping } from './testing/round-trip';
import { sampleStream } from './testing/sample-stream';
import { StreamWriter } from './testing/stream-writer';
import { type Sections, TOKEN, TOKEN_NAMED } from './tokens';

const EMPTY = Buffer.alloc(0);
const layout = new PageLayout([{ name: 'pc.ram', bytes: 16 * PAGE_BYTES }]);
const layoutRecord = (mirrorPagesMax = 16, generation = 0): StreamRecord => ({
  kind: 'layout',
  payload: encodeLayout({ layout, generation, mirrorPagesMax }),
});

function data(sections: Partial<Sections>, logicalBytes = 0, baseGeneration = 0): StreamRecord {
  const all = { tokens: EMPTY, masks: EMPTY, literals: EMPTY, content: EMPTY, opaque: EMPTY, ...sections };
  return { kind: 'data', sections: all, pageCount: 0, logicalBytes, baseGeneration };
}

const run = (token: number, count: number, { block = 0, page = 0, named = false } = {}): Buffer =>
  new StreamWriter()
    .raw([token | (named ? TOKEN_NAMED : 0), block >> 8, block & 255])
    .u64(page * PAGE_BYTES + 0x28)
    .u32(count)
    .bytes();
const opaque = (length: number): Buffer => new StreamWriter().raw([TOKEN.opaque]).u32(length).bytes();
const page = (fill: number): Buffer => Buffer.alloc(PAGE_BYTES, fill);
const raw = (index: number, fill: number): StreamRecord =>
  data({ tokens: run(TOKEN.raw, 1, { page: index }), content: page(fill) }, 8 + PAGE_BYTES);
const copy = (index: number, from: number): Buffer =>
  Buffer.concat([run(TOKEN.copy, 1, { page: index }), new StreamWriter().u32(from).bytes()]);

/** A decoder that knows the guest's memory, and what it rebuilds. */
function begun(options: StreamDecoderOptions = {}, mirrorPagesMax = 16) {
  const pieces: Uint8Array[] = [];
  const decoder = new StreamDecoder((bytes) => pieces.push(bytes), options);
  decoder.apply(layoutRecord(mirrorPagesMax));
  return { decoder, rebuilt: () => Buffer.concat(pieces) };
}

function sampleRecords(): StreamRecord[] {
  const records: StreamRecord[] = [];
  const reader = new FrameReader((one) => records.push(storedRecordOf(one)));
  reader.push(Buffer.concat(encode(sampleStream().bytes, [], keeping(20)).frames));
  return records;
}

describe('the stream decoder', () => {
  it.each<[string, StreamRecord]>([
    ['an unknown token', data({ tokens: Buffer.of(9) })],
    ['a run cut short', data({ tokens: run(TOKEN.zeroRecords, 1).subarray(0, 14) }, 9)],
    ['a run of no records', data({ tokens: run(TOKEN.zeroRecords, 0) })],
    [
      'a run of 2^32 - 1 zero records',
      data({ tokens: run(TOKEN.zeroRecords, 0xffffffff) }, FRAME_LOGICAL_BYTES_MAX),
    ],
    [
      'a run of 2^32 - 1 zero pages',
      data({ tokens: run(TOKEN.zeroPages, 0xffffffff) }, FRAME_LOGICAL_BYTES_MAX),
    ],
    ['a run of 2^32 - 1 copies', data({ tokens: run(TOKEN.copy, 0xffffffff) }, FRAME_LOGICAL_BYTES_MAX)],
    ['a run that rebuilds to more than the frame says', data({ tokens: run(TOKEN.zeroRecords, 2) }, 17)],
    ['a run that rebuilds to less than the frame says', data({ tokens: run(TOKEN.zeroRecords, 2) }, 19)],
    [
      'a run in a RAM block that does not exist',
      data({ tokens: run(TOKEN.zeroRecords, 1, { block: 1 }) }, 9),
    ],
    ['a page outside its RAM block', data({ tokens: run(TOKEN.zeroRecords, 2, { page: 15 }) }, 18)],
    [
      'pages whose content is missing',
      data({ tokens: run(TOKEN.raw, 2), content: page(1) }, 2 * (8 + PAGE_BYTES)),
    ],
    ['content that no page has', data({ tokens: EMPTY, content: page(1) }, 0)],
    ['opaque bytes of 4 GiB', data({ tokens: opaque(0xffffffff), opaque: Buffer.from('abc') }, 3)],
    ['more opaque bytes than the frame says', data({ tokens: opaque(3), opaque: Buffer.from('abc') }, 2)],
    ['opaque bytes that are missing', data({ tokens: opaque(4), opaque: Buffer.from('abc') }, 4)],
    ['a page like one that it does not hold', data({ tokens: run(TOKEN.same, 1) }, 8 + PAGE_BYTES)],
    ['a copy of a page that it does not hold', data({ tokens: copy(1, 2) }, 8 + PAGE_BYTES)],
    ['a copy of a page that does not exist', data({ tokens: copy(1, 0xffffffff) }, 8 + PAGE_BYTES)],
    [
      'a change of a page that it does not hold',
      data({ tokens: run(TOKEN.delta, 1), masks: Buffer.alloc(8) }, 8 + PAGE_BYTES),
    ],
    ['changes without masks', data({ tokens: run(TOKEN.delta, 1) }, 8 + PAGE_BYTES)],
    ['masks without changes', data({ tokens: EMPTY, masks: Buffer.alloc(8) })],
    [
      'more masks than lines',
      data({ tokens: run(TOKEN.delta, 1), masks: Buffer.alloc(9 + LINES_PER_PAGE) }, 8 + PAGE_BYTES),
    ],
    ['a hash of another length', { kind: 'digest', payload: Buffer.alloc(31) }],
  ])('refuses %s and rebuilds nothing of it', (_, hostile) => {
    const { decoder, rebuilt } = begun();
    expect(codeOf(() => decoder.apply(hostile))).toBe('TOKEN_INVALID');
    expect(rebuilt()).toHaveLength(0);
    expect(decoder.counters.guestBytes).toBe(0);
  });

  it('refuses masks that name more words than there are, or fewer', () => {
    const change = (literals: number): StreamRecord =>
      data(
        {
          tokens: run(TOKEN.delta, 1),
          // Line 0 differs, in its words 0 and 1.
          masks: Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 3]),
          literals: Buffer.alloc(literals, 7),
        },
        8 + PAGE_BYTES,
      );
    for (const literals of [0, 8, 15, 24]) {
      const { decoder } = begun();
      decoder.apply(raw(0, 1));
      expect(codeOf(() => decoder.apply(change(literals)))).toBe('TOKEN_INVALID');
    }
    const { decoder, rebuilt } = begun();
    decoder.apply(raw(0, 1));
    decoder.apply(change(16));
    const expected = Buffer.concat([Buffer.alloc(16, 7), page(1).subarray(16)]);
    expect(rebuilt().subarray(-PAGE_BYTES).equals(expected)).toBe(true);
  });

  it('refuses pages before it knows the memory, a second description of it, and one that is too large', () => {
    const fresh = new StreamDecoder(() => undefined);
    expect(codeOf(() => fresh.apply(raw(0, 1)))).toBe('TOKEN_INVALID');
    expect(codeOf(() => begun().decoder.apply(layoutRecord()))).toBe('LAYOUT_INVALID');
    expect(codeOf(() => begun({ mirrorPagesMax: 15 }))).toBe('LAYOUT_TOO_LARGE');
    expect(codeOf(() => begun({ layoutPagesMax: 15 }))).toBe('LAYOUT_TOO_LARGE');
  });

  it('refuses to build on pages when none are kept', () => {
    const { decoder } = begun({}, 0);
    decoder.apply(raw(0, 1));
    const same = data({ tokens: run(TOKEN.same, 1) }, 8 + PAGE_BYTES);
    expect(codeOf(() => decoder.apply(same))).toBe('TOKEN_INVALID');
  });

  it('rebuilds what tokens stand for', () => {
    const { decoder, rebuilt } = begun();
    const tokens = Buffer.concat([opaque(3), run(TOKEN.zeroRecords, 2, { named: true }), copy(3, 5)]);
    decoder.apply(raw(5, 5));
    const before = rebuilt().length;
    decoder.apply(data({ tokens, opaque: Buffer.from('abc') }, 3 + 9 + 7 + 9 + 8 + PAGE_BYTES));
    const expected = new StreamWriter()
      .raw(Buffer.from('abc'))
      .u64(0x28)
      .text('pc.ram')
      .raw([0])
      .u64(0x1028)
      .raw([0])
      .u64(0x3028)
      .raw(page(5));
    expect(rebuilt().subarray(before).toString('hex')).toBe(expected.bytes().toString('hex'));
  });

  it('keeps no more pages than were agreed on, and knows which', () => {
    const { decoder } = begun({}, 2);
    for (const index of [0, 1, 2]) decoder.apply(raw(index, index + 1));
    const same = (index: number) => data({ tokens: run(TOKEN.same, 1, { page: index }) }, 8 + PAGE_BYTES);
    decoder.apply(same(1));
    expect(decoder.mirror?.heldPages).toBe(2);
    expect(codeOf(() => decoder.apply(same(2)))).toBe('TOKEN_INVALID');
  });

  it('refuses a frame that claims more than any may', () => {
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => decoder.apply(data({}, 2 ** 32 - 1)))).toBe('FRAME_TOO_LONG');
  });

  it('refuses a frame that builds on history', () => {
    const decoder = new StreamDecoder(() => undefined);
    const built = data({ tokens: opaque(3), opaque: Buffer.from('abc') }, 3, 1);
    expect(codeOf(() => decoder.apply(built))).toBe('FRAME_BASE_UNKNOWN');
    expect(codeOf(() => new StreamDecoder(() => undefined).apply(layoutRecord(16, 1)))).toBe(
      'FRAME_BASE_UNKNOWN',
    );
  });

  it('notices at the next hash that the stream is another than the one sent', () => {
    const records = sampleRecords();
    const firstHash = records.findIndex(({ kind }) => kind === 'digest');
    const decoder = new StreamDecoder(() => undefined);
    const apply = (): void =>
      records.forEach((one, at) => {
        // Well-formed, so nothing but the hash can tell.
        if (at === firstHash) decoder.apply(data({ tokens: opaque(3), opaque: Buffer.from('abc') }, 3));
        decoder.apply(one);
      });
    expect(firstHash).toBeGreaterThan(0);
    expect(codeOf(apply)).toBe('STREAM_DIFFERS');
  });

  it('notices a single other byte of a page', () => {
    const frames = sampleRecords();
    const contents = frames.flatMap((one) => (one.kind === 'data' ? [one.sections.content] : []));
    const longest = contents.reduce((a, b) => (a.length >= b.length ? a : b));
    longest[longest.length - 1]! ^= 1;
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => frames.forEach((one) => decoder.apply(one)))).toBe('STREAM_DIFFERS');
    expect(decoder.summary).toBeNull();
    // And stays with it.
    expect(codeOf(() => decoder.apply(frames[0]!))).toBe('STREAM_DIFFERS');
    expect(codeOf(() => decoder.end())).toBe('STREAM_DIFFERS');
  });

  it('says when the last hash did not come, and when more comes after it', () => {
    const frames = sampleRecords();
    const decoder = new StreamDecoder(() => undefined);
    for (const one of frames.slice(0, -1)) decoder.apply(one);
    expect(decoder.summary).toBeNull();
    expect(codeOf(() => decoder.end())).toBe('STREAM_TRUNCATED');
    decoder.apply(frames.at(-1)!);
    expect(decoder.end()).toBe(decoder.summary);
    expect(codeOf(() => decoder.apply(frames[0]!))).toBe('STREAM_ENDED');
  });
});
