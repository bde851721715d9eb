import { crc32c } from './crc32c';
import {
  type Frame,
  FRAME_HEADER_BYTES,
  FRAME_LOGICAL_BYTES_MAX,
  FRAME_PAYLOAD_BYTES_MAX,
  FRAME_TYPE,
  FrameReader,
  FrameWriter,
} from './frame';
import { codeOf } from './testing/code-of';

const EPOCH = 7;

function oneFrame(payload: Uint8Array = Buffer.from('some payload')): Uint8Array {
  return new FrameWriter(EPOCH).frame(FRAME_TYPE.control, payload);
}

/** The frame with a change in its header, whose sum is made right again. */
function changed(frame: Uint8Array, change: (header: DataView) => void): Uint8Array {
  const copy = frame.slice();
  const header = new DataView(copy.buffer);
  change(header);
  header.setUint32(44, crc32c(copy.subarray(0, 44)));
  return copy;
}

function read(link: Uint8Array, epoch: number | undefined = EPOCH): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), epoch === undefined ? {} : { epoch });
  reader.push(link);
  reader.end();
  return frames;
}

describe('frames', () => {
  it('come out as they went in, cut anywhere', () => {
    const writer = new FrameWriter(EPOCH);
    const payloads = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(300, 9)];
    const link = Buffer.concat(payloads.map((payload) => writer.frame(FRAME_TYPE.returnPath, payload)));
    for (let cut = 0; cut <= link.length; cut += 1) {
      const frames: Frame[] = [];
      const reader = new FrameReader((frame) => frames.push(frame), { epoch: EPOCH });
      reader.push(link.subarray(0, cut));
      reader.push(link.subarray(cut));
      reader.end();
      expect(frames.map((frame) => Buffer.from(frame.payload))).toEqual(payloads);
      expect(frames.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    }
  });

  it.each<[string, string, (header: DataView) => void]>([
    ['another magic', 'FRAME_MAGIC', (header) => header.setUint32(0, 0x474554)],
    ['another version', 'FRAME_VERSION', (header) => header.setUint8(4, 2)],
    ['another header length', 'FRAME_VERSION', (header) => header.setUint8(5, 64)],
    ['a critical flag', 'FRAME_FLAG_UNKNOWN', (header) => header.setUint8(7, 0x10)],
    ['an unknown type', 'FRAME_TYPE_UNKNOWN', (header) => header.setUint8(6, 99)],
    ['type zero', 'FRAME_TYPE_UNKNOWN', (header) => header.setUint8(6, 0)],
    ['a skipped number', 'FRAME_SEQUENCE', (header) => header.setBigUint64(12, 2n)],
    ['a number past 2^53', 'FRAME_SEQUENCE', (header) => header.setBigUint64(12, 2n ** 64n - 1n)],
    ['another epoch', 'FRAME_EPOCH', (header) => header.setUint32(20, EPOCH + 1)],
    ['a payload too long', 'FRAME_TOO_LONG', (header) => header.setUint32(36, FRAME_PAYLOAD_BYTES_MAX + 1)],
    ['a payload of 4 GiB', 'FRAME_TOO_LONG', (header) => header.setUint32(36, 0xffffffff)],
    ['a stream too long', 'FRAME_TOO_LONG', (header) => header.setUint32(32, FRAME_LOGICAL_BYTES_MAX + 1)],
    ['a wrong payload sum', 'FRAME_CHECKSUM', (header) => header.setUint32(40, 1)],
  ])('refuses a frame with %s (%s)', (_, code, change) => {
    expect(codeOf(() => read(changed(oneFrame(), change)))).toBe(code);
  });

  it('lets a flag pass that may be ignored', () => {
    expect(read(changed(oneFrame(), (header) => header.setUint8(7, 0x01)))).toHaveLength(1);
  });

  it('refuses any single flipped bit', () => {
    const frame = oneFrame();
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const damaged = frame.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(codeOf(() => read(damaged))).toMatch(/^FRAME_/);
    }
  });

  it('refuses a repeated frame, and one that was left out', () => {
    const writer = new FrameWriter(EPOCH);
    const [first, second, third] = [1, 2, 3].map((n) => writer.frame(FRAME_TYPE.data, Buffer.alloc(n)));
    expect(codeOf(() => read(Buffer.concat([first!, second!, second!])))).toBe('FRAME_SEQUENCE');
    expect(codeOf(() => read(Buffer.concat([first!, third!])))).toBe('FRAME_SEQUENCE');
  });

  it('keeps to the epoch of the first frame when none was agreed on', () => {
    const first = oneFrame();
    const second = changed(new FrameWriter(8).frame(FRAME_TYPE.data, Buffer.alloc(0)), (header) =>
      header.setBigUint64(12, 2n),
    );
    expect(codeOf(() => read(Buffer.concat([first, second]), undefined))).toBe('FRAME_EPOCH');
  });

  it('says when the link was cut inside a frame', () => {
    const frame = oneFrame();
    for (let length = 1; length < frame.length; length += 1)
      expect(codeOf(() => read(frame.subarray(0, length)))).toBe('FRAME_TRUNCATED');
  });

  it('sets nothing aside for a length that is not allowed', () => {
    const greedy = changed(oneFrame(), (header) => header.setUint32(36, 0xfffffff0));
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 8 }, () => new FrameReader(() => undefined));
    for (const reader of readers) expect(() => reader.push(greedy)).toThrow();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(FRAME_PAYLOAD_BYTES_MAX);
  });

  it('goes on refusing after a refusal', () => {
    const reader = new FrameReader(() => undefined, { epoch: EPOCH });
    const frame = oneFrame();
    expect(codeOf(() => reader.push(frame.slice().fill(0, 0, 4)))).toBe('FRAME_MAGIC');
    expect(codeOf(() => reader.push(frame))).toBe('FRAME_MAGIC');
    expect(codeOf(() => reader.end())).toBe('FRAME_MAGIC');
  });

  it('hands no frame out while paused, and loses none', () => {
    const writer = new FrameWriter(EPOCH);
    const link = Buffer.concat([1, 2, 3].map((n) => writer.frame(FRAME_TYPE.data, Buffer.alloc(n))));
    const seen: number[] = [];
    const reader: FrameReader = new FrameReader((frame) => {
      seen.push(frame.payload.length);
      reader.pause();
    });
    reader.push(link);
    expect(seen).toEqual([1]);
    expect(() => reader.push(link)).toThrow('paused');
  });

  it('goes on where it was after a pause', () => {
    const writer = new FrameWriter(EPOCH);
    const link = Buffer.concat([1, 2, 3].map((n) => writer.frame(FRAME_TYPE.data, Buffer.alloc(n))));
    const seen: number[] = [];
    const reader: FrameReader = new FrameReader((frame) => {
      seen.push(frame.payload.length);
      reader.pause();
    });
    reader.push(link.subarray(0, link.length - 1));
    reader.resume();
    expect(seen).toEqual([1, 2]);
    expect(codeOf(() => reader.end())).toBe('FRAME_TRUNCATED');
    reader.resume();
    expect(reader.isPaused).toBe(false);
    reader.push(link.subarray(link.length - 1));
    expect(seen).toEqual([1, 2, 3]);
  });

  it('are not written longer than any reader accepts', () => {
    const writer = new FrameWriter(EPOCH);
    expect(() => writer.frame(FRAME_TYPE.data, Buffer.alloc(FRAME_PAYLOAD_BYTES_MAX + 1))).toThrow(
      RangeError,
    );
    const frame = new Uint8Array(FRAME_HEADER_BYTES);
    expect(() => writer.stamp(frame, FRAME_TYPE.data, { logicalBytes: FRAME_LOGICAL_BYTES_MAX + 1 })).toThrow(
      RangeError,
    );
    expect(writer.sequence).toBe(0);
  });
});
