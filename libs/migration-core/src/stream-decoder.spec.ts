import { type Frame, FRAME_LOGICAL_BYTES_MAX, FRAME_TYPE, type FrameType, FrameReader } from './frame';
import { PAGE_BYTES } from './qemu-stream';
import { StreamDecoder } from './stream-decoder';
import { codeOf } from './testing/code-of';
import { encode, EPOCH } from './testing/round-trip';
import { sampleStream } from './testing/sample-stream';
import { StreamWriter } from './testing/stream-writer';
import { TOKEN } from './tokens';

function frame(payload: Uint8Array, logicalBytes = 0, type: FrameType = FRAME_TYPE.data): Frame {
  return { type, sequence: 1, epoch: EPOCH, baseGeneration: 0, pageCount: 0, logicalBytes, payload };
}

const run = (kind: number, count: number): Buffer =>
  new StreamWriter().raw([kind]).u64(0x28).u32(count).bytes();
const opaque = (length: number, bytes: string): Buffer =>
  new StreamWriter().raw([TOKEN.opaque]).u32(length).raw(Buffer.from(bytes)).bytes();
const named = (name: string): Buffer => new StreamWriter().raw([TOKEN.named]).text(name).bytes();

/** The frames of a sample as a reader hands them out. */
function sampleFrames(): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((one) => frames.push(one));
  reader.push(Buffer.concat(encode(sampleStream().bytes).frames));
  return frames;
}

describe('the stream decoder', () => {
  it.each<[string, Frame]>([
    ['an unknown token', frame(Buffer.of(9), 0)],
    ['a run cut short', frame(run(TOKEN.zeroRecords, 1).subarray(0, 12), 9)],
    ['a run of no records', frame(run(TOKEN.zeroRecords, 0), 0)],
    ['a run of 2^32 - 1 zero records', frame(run(TOKEN.zeroRecords, 0xffffffff), FRAME_LOGICAL_BYTES_MAX)],
    ['a run of 2^32 - 1 zero pages', frame(run(TOKEN.zeroPages, 0xffffffff), FRAME_LOGICAL_BYTES_MAX)],
    ['a run that rebuilds to more than the frame says', frame(run(TOKEN.zeroRecords, 2), 17)],
    ['a run that rebuilds to less than the frame says', frame(run(TOKEN.zeroRecords, 2), 19)],
    ['pages whose content is missing', frame(run(TOKEN.pages, 2), 2 * (8 + PAGE_BYTES))],
    ['opaque bytes of 4 GiB', frame(opaque(0xffffffff, 'abc'), 3)],
    ['more opaque bytes than the frame says', frame(opaque(3, 'abc'), 2)],
    ['opaque bytes that are missing', frame(opaque(4, 'abc'), 4)],
    ['a name cut short', frame(named('pc.ram').subarray(0, 5), 0)],
    ['a name without a run', frame(named('pc.ram'), 0)],
    ['a name before opaque bytes', frame(Buffer.concat([named('pc.ram'), opaque(3, 'abc')]), 3)],
    ['two names', frame(Buffer.concat([named('a'), named('b'), run(TOKEN.zeroRecords, 1)]), 11)],
    ['an empty name', frame(Buffer.concat([named(''), run(TOKEN.zeroRecords, 1)]), 10)],
    ['a hash of another length', frame(Buffer.alloc(31), 0, FRAME_TYPE.digest)],
  ])('refuses %s and rebuilds nothing of it', (_, hostile) => {
    const pieces: Uint8Array[] = [];
    const decoder = new StreamDecoder((bytes) => pieces.push(bytes));
    expect(codeOf(() => decoder.apply(hostile))).toBe('TOKEN_INVALID');
    expect(pieces).toHaveLength(0);
    expect(decoder.counters.guestBytes).toBe(0);
  });

  it('rebuilds what tokens stand for', () => {
    const pieces: Uint8Array[] = [];
    const decoder = new StreamDecoder((bytes) => pieces.push(bytes));
    const payload = Buffer.concat([opaque(3, 'abc'), named('pc.ram'), run(TOKEN.zeroRecords, 2)]);
    decoder.apply(frame(payload, 3 + 9 + 7 + 9));
    const expected = new StreamWriter()
      .raw(Buffer.from('abc'))
      .u64(0x28)
      .text('pc.ram')
      .raw([0])
      .u64(0x1028)
      .raw([0]);
    expect(Buffer.concat(pieces).toString('hex')).toBe(expected.bytes().toString('hex'));
  });

  it('refuses a frame that claims more than any may', () => {
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => decoder.apply(frame(Buffer.alloc(0), 2 ** 32 - 1)))).toBe('FRAME_TOO_LONG');
  });

  it('refuses a frame that builds on history', () => {
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => decoder.apply({ ...frame(opaque(3, 'abc'), 3), baseGeneration: 1 }))).toBe(
      'FRAME_BASE_UNKNOWN',
    );
  });

  it('refuses frames of other kinds', () => {
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => decoder.apply(frame(Buffer.alloc(0), 0, FRAME_TYPE.control)))).toBe(
      'FRAME_TYPE_UNKNOWN',
    );
  });

  it('notices at the next hash that the stream is another than the one sent', () => {
    const frames = sampleFrames();
    const firstHash = frames.findIndex(({ type }) => type === FRAME_TYPE.digest);
    expect(firstHash).toBeGreaterThan(0);
    for (let index = 0; index < firstHash; index += 1) {
      const decoder = new StreamDecoder(() => undefined);
      const apply = (): void =>
        frames.forEach((one, at) => {
          // Well-formed, so nothing but the hash can tell.
          if (at === index) decoder.apply(frame(opaque(3, 'abc'), 3));
          else decoder.apply(one);
        });
      expect(codeOf(apply)).toBe('STREAM_DIFFERS');
    }
  });

  it('notices a single other byte of a page', () => {
    const frames = sampleFrames();
    const longest = frames.reduce((a, b) => (a.payload.length >= b.payload.length ? a : b));
    longest.payload[longest.payload.length - 1]! ^= 1;
    const decoder = new StreamDecoder(() => undefined);
    expect(codeOf(() => frames.forEach((one) => decoder.apply(one)))).toBe('STREAM_DIFFERS');
    expect(decoder.summary).toBeNull();
    // And stays with it.
    expect(codeOf(() => decoder.apply(frames[0]!))).toBe('STREAM_DIFFERS');
    expect(codeOf(() => decoder.end())).toBe('STREAM_DIFFERS');
  });

  it('says when the last hash did not come, and when more comes after it', () => {
    const frames = sampleFrames();
    const decoder = new StreamDecoder(() => undefined);
    for (const one of frames.slice(0, -1)) decoder.apply(one);
    expect(decoder.summary).toBeNull();
    expect(codeOf(() => decoder.end())).toBe('STREAM_TRUNCATED');
    decoder.apply(frames.at(-1)!);
    expect(decoder.end()).toBe(decoder.summary);
    expect(codeOf(() => decoder.apply(frames[0]!))).toBe('STREAM_ENDED');
  });
});
