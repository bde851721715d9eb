import {
  FRAME_HEADER_BYTES,
  FRAME_LOGICAL_BYTES_MAX,
  FRAME_PAYLOAD_BYTES_MAX,
  FRAME_TYPE,
  type FrameType,
  FrameReader,
  FrameWriter,
} from './frame';
import { encodeLayout, PageLayout } from './reduction/page-layout';
import { storedRecordOf } from './record-framing';
import { StreamDecoder } from './stream-decoder';
import { codeOf } from './testing/code-of';
import { decode, encode, EPOCH, keeping } from './testing/round-trip';
import { sampleStream } from './testing/sample-stream';
import { SeededChance } from './testing/seeded-chance';

/*
 * Chance cases with a seed each. WATARI_FUZZ_SEED repeats one, WATARI_FUZZ_CASES runs more.
 */
const CASES = Number(process.env['WATARI_FUZZ_CASES'] ?? 150);
const SEEDS = process.env['WATARI_FUZZ_SEED']
  ? [Number(process.env['WATARI_FUZZ_SEED'])]
  : Array.from({ length: CASES }, () => Math.floor(Math.random() * 2 ** 32));
/** Values that bounds are missed at. */
const EDGES = [0, 1, 0x10, 0x20, 0x7e, 0x7f, 0x80, 0xff];
const CASE_MS_MAX = 2_000;

const layout = new PageLayout([{ name: 'pc.ram', bytes: 2 ** 28 }]);
const SAMPLES = [1, 2, 3].map((seed) => sampleStream(seed).bytes);
/** Fewer pages kept than there are, so that places run out and come free. */
const FRAMES = SAMPLES.map((bytes) => encode(bytes, [], keeping(9)).frames);

function forEachSeed(check: (chance: SeededChance) => void): void {
  for (const seed of SEEDS) {
    const startedMs = performance.now();
    try {
      check(new SeededChance(seed));
      const tookMs = performance.now() - startedMs;
      if (tookMs > CASE_MS_MAX) throw new Error(`It took ${Math.round(tookMs)} ms.`);
    } catch (error) {
      throw new Error(`Failed with WATARI_FUZZ_SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
}

/** Other bytes, cut out, put in twice, cut off. Most changes are near the beginning, where structure is dense. */
function mutated(original: Uint8Array, chance: SeededChance): Buffer {
  let bytes = Buffer.from(original);
  for (let changes = 1 + chance.below(6); changes > 0 && bytes.length > 0; changes -= 1) {
    const at = chance.below(chance.below(2) === 0 ? Math.min(400, bytes.length) : bytes.length);
    const to = Math.min(bytes.length, at + 1 + chance.below(40));
    const draw = chance.below(10);
    if (draw < 4) bytes[at] = EDGES[chance.below(EDGES.length)]!;
    else if (draw < 6) bytes[at]! ^= 1 << chance.below(8);
    else if (draw === 6) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    else if (draw === 7) bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
    else if (draw === 8) bytes.set(chance.bytes(to - at), at);
    else bytes = bytes.subarray(0, at);
  }
  return bytes;
}

function cuts(length: number, chance: SeededChance): number[] {
  return Array.from({ length: chance.below(30) }, () => chance.below(length + 1)).sort((a, b) => a - b);
}

describe('whatever the stream is', () => {
  it('it arrives the same, however it and its frames are cut', () => {
    forEachSeed((chance) => {
      const original = SAMPLES[chance.below(SAMPLES.length)]!;
      const bytes = mutated(original, chance);
      const { frames, summary } = encode(bytes, cuts(bytes.length, chance), keeping(chance.below(60)));
      const link = Buffer.concat(frames);
      const decoded = decode(link, cuts(link.length, chance));
      if (!decoded.bytes.equals(bytes)) throw new Error('It came out as another stream.');
      expect(decoded.summary).toEqual(summary);
      for (const frame of frames) expect(frame.length).toBeLessThan(FRAME_PAYLOAD_BYTES_MAX);
    });
  });
});

describe('whatever the link carries', () => {
  /** The same stream, or an error with a code; never more memory than the limits. */
  function checkLink(link: Uint8Array, expected: Uint8Array, chance: SeededChance): void {
    let rebuilt: Buffer | null = null;
    const code = codeOf(() => {
      rebuilt = decode(link, cuts(link.length, chance)).bytes;
    });
    if (code === '' && !rebuilt!.equals(expected))
      throw new Error('Another stream was taken for the right one.');
  }

  it('the stream is the same or refused when bytes of frames change', () => {
    forEachSeed((chance) => {
      const which = chance.below(SAMPLES.length);
      checkLink(mutated(Buffer.concat(FRAMES[which]!), chance), SAMPLES[which]!, chance);
    });
  });

  it('the stream is the same or refused when frames are changed and made whole again', () => {
    let refusedByTokens = 0;
    forEachSeed((chance) => {
      const which = chance.below(SAMPLES.length);
      const writer = new FrameWriter(EPOCH);
      const link = FRAMES[which]!.map((frame) => {
        const header = new DataView(frame.buffer, frame.byteOffset);
        const payload = frame.subarray(FRAME_HEADER_BYTES);
        const isChanged = chance.below(2) === 0;
        const changed = isChanged ? mutated(payload, chance) : payload;
        const logical = header.getUint32(32);
        const logicalBytes =
          isChanged && chance.below(4) === 0 ? chance.below(FRAME_LOGICAL_BYTES_MAX) : logical;
        const copy = Buffer.concat([new Uint8Array(FRAME_HEADER_BYTES), changed]);
        return writer.stamp(Uint8Array.from(copy), header.getUint8(6) as FrameType, { logicalBytes });
      });
      checkLink(Buffer.concat(link), SAMPLES[which]!, chance);
    });
    // Shows that the changes reach the tokens and are not all stopped by the frame's sums.
    forEachSeed((chance) => {
      const decoder = new StreamDecoder(() => undefined);
      const payload = mutated(FRAMES[0]![0]!.subarray(FRAME_HEADER_BYTES), chance);
      const reader = new FrameReader((frame) => decoder.apply(storedRecordOf(frame)));
      const stamped = new FrameWriter(EPOCH).stamp(
        Uint8Array.from(Buffer.concat([new Uint8Array(FRAME_HEADER_BYTES), payload])),
        FRAME_TYPE.data,
        { logicalBytes: SAMPLES[0]!.length },
      );
      if (/^(TOKEN|SECTIONS)_/.test(codeOf(() => reader.push(stamped)))) refusedByTokens += 1;
    });
    if (SEEDS.length >= 20) expect(refusedByTokens).toBeGreaterThan(0);
  });

  it('memory set aside stays within the limits for random tokens', () => {
    forEachSeed((chance) => {
      let rebuiltBytes = 0;
      const decoder = new StreamDecoder((bytes) => (rebuiltBytes += bytes.length));
      const tokens = chance.bytes(chance.below(2_000));
      // Token kinds that exist, with lengths and counts at random.
      for (let at = 0; at < tokens.length; at += 1 + chance.below(15)) tokens[at] = 1 + chance.below(7);
      const rest = { masks: chance.bytes(chance.below(90)), literals: chance.bytes(chance.below(90)) };
      const logicalBytes = chance.below(FRAME_LOGICAL_BYTES_MAX);
      const sections = { tokens, ...rest, content: new Uint8Array(0), opaque: new Uint8Array(0) };
      const payload = encodeLayout({ layout, generation: 0, mirrorPagesMax: 10 });
      decoder.apply({ kind: 'layout', payload });
      const code = codeOf(() =>
        decoder.apply({ kind: 'data', sections, pageCount: 0, logicalBytes, baseGeneration: 0 }),
      );
      expect(rebuiltBytes).toBe(code === '' ? logicalBytes : 0);
    });
  });
});
