import { PAGE_BYTES } from '../qemu-stream';
import { StreamDecoder } from '../stream-decoder';
import { StreamEncoder, type StreamEncoderOptions } from '../stream-encoder';
import type { StreamRecord } from '../stream-record';
import { keeping } from '../testing/round-trip';
import { SeededChance } from '../testing/seeded-chance';
import { StreamWriter } from '../testing/stream-writer';
import { decodeLayout, encodeLayout, PageLayout } from './page-layout';
import { emptyMirror, type PageMirror } from './page-mirror';

const PAGES = 600;
const BLOCKS = [
  { name: 'pc.ram', bytes: PAGES * PAGE_BYTES },
  { name: 'vga.vram', bytes: 8 * PAGE_BYTES },
];

/** A guest's memory, written to by a spec and sent in rounds. */
class Memory {
  readonly pages: Buffer[];
  constructor(private readonly chance: SeededChance) {
    this.pages = Array.from({ length: PAGES }, () => Buffer.from(chance.bytes(PAGE_BYTES)));
  }

  /** Changes `bytes` bytes at a random place of the page. */
  touch(page: number, bytes: number): void {
    const at = this.chance.below(PAGE_BYTES - bytes);
    this.pages[page]!.set(this.chance.bytes(bytes), at);
  }

  stream(rounds: readonly (readonly number[])[]): Buffer {
    const writer = new StreamWriter().header().memoryBegin(BLOCKS);
    for (const round of rounds) {
      writer.part();
      for (const page of round) writer.page('pc.ram', page, this.pages[page]!);
      writer.sectionEnd();
    }
    return writer.deviceState(this.chance.bytes(100)).bytes();
  }
}

const all = Array.from({ length: PAGES }, (_, page) => page);

interface Trip {
  readonly counters: StreamEncoder['counters'];
  /** Bytes of all sections, not compressed. */
  readonly sentBytes: number;
  readonly sourceMirror: PageMirror | null;
  readonly targetMirror: PageMirror | null;
}

/** Sends the streams one after the other as one, and checks that they come out the same. */
function travel(stream: Buffer, options: StreamEncoderOptions, held: PageMirror | null = null): Trip {
  const rebuilt: Uint8Array[] = [];
  let sentBytes = 0;
  const decoder = new StreamDecoder((bytes) => rebuilt.push(bytes), { startMirror: () => held });
  const encoder = new StreamEncoder((record: StreamRecord) => {
    if (record.kind === 'data')
      sentBytes += Object.values(record.sections).reduce(
        (sum, section: Uint8Array) => sum + section.length,
        0,
      );
    decoder.apply(record);
  }, options);
  for (let at = 0; at < stream.length; at += 50_000) encoder.push(stream.subarray(at, at + 50_000));
  const summary = encoder.end();
  expect(Buffer.concat(rebuilt).equals(stream)).toBe(true);
  expect(decoder.end()).toEqual(summary);
  return { counters: summary, sentBytes, sourceMirror: encoder.mirror, targetMirror: decoder.mirror };
}

describe('pages that the other side holds', () => {
  it('cross as nothing when they have not changed', () => {
    const memory = new Memory(new SeededChance(1));
    const { counters, sentBytes } = travel(memory.stream([all, all]), keeping(PAGES));
    expect(counters).toMatchObject({ rawPages: PAGES, samePages: PAGES, deltaPages: 0 });
    expect(sentBytes).toBeLessThan(PAGES * PAGE_BYTES + 2_000);
  });

  it('cross as what changed in them', () => {
    const memory = new Memory(new SeededChance(2));
    const first = memory.stream([all]);
    const held = travel(first, keeping(PAGES));
    for (const page of all) memory.touch(page, 40);
    const start = { startMirror: () => ({ mirror: held.sourceMirror!, generation: 7 }) };
    const { counters, sentBytes } = travel(memory.stream([all]), start, held.targetMirror);
    expect(counters).toMatchObject({ deltaPages: PAGES, rawPages: 0 });
    // 40 bytes touch 6 words at most, in 2 lines at most.
    expect(sentBytes).toBeLessThan(PAGES * (8 + 2 + 6 * 8 + 1) + 2_000);
  });

  it('cross whole when most of them changed', () => {
    const memory = new Memory(new SeededChance(3));
    const held = travel(memory.stream([all]), keeping(PAGES));
    for (const page of all) memory.touch(page, 3_000);
    const start = { startMirror: () => ({ mirror: held.sourceMirror!, generation: 1 }) };
    expect(travel(memory.stream([all]), start, held.targetMirror).counters).toMatchObject({
      rawPages: PAGES,
    });
  });

  it('cross by name when they are like another page', () => {
    const memory = new Memory(new SeededChance(4));
    const held = travel(memory.stream([all]), keeping(PAGES));
    const moved = new Memory(new SeededChance(5));
    for (const page of all) moved.pages[page] = memory.pages[(page + 300) % PAGES]!;
    const start = { startMirror: () => ({ mirror: held.sourceMirror!, generation: 1 }) };
    const { counters, sentBytes } = travel(moved.stream([all]), start, held.targetMirror);
    // What the first half needs is still there; of the second half's, the first has overwritten it.
    expect(counters.copiedPages).toBeGreaterThanOrEqual(300);
    expect(sentBytes).toBeLessThan(PAGES * PAGE_BYTES * 0.55);
  });

  it('are found within one trip, too', () => {
    const memory = new Memory(new SeededChance(6));
    for (const page of all.slice(300)) memory.pages[page] = memory.pages[page - 300]!;
    expect(travel(memory.stream([all]), keeping(PAGES)).counters.copiedPages).toBe(300);
  });

  it('that became zero and came back are held again', () => {
    const memory = new Memory(new SeededChance(7));
    const before = memory.pages[5]!;
    const writer = new StreamWriter().header().memoryBegin(BLOCKS).part();
    writer.page('pc.ram', 5, before).page('pc.ram', 6, memory.pages[6]!).sectionEnd().part();
    writer.zeroPage('pc.ram', 5).page('pc.ram', 6, new Uint8Array(PAGE_BYTES)).sectionEnd().part();
    writer.page('pc.ram', 5, before).page('pc.ram', 6, memory.pages[6]!).sectionEnd();
    const { counters, targetMirror } = travel(writer.deviceState(before).bytes(), keeping(PAGES));
    expect(counters).toMatchObject({ zeroPages: 2, rawPages: 4, samePages: 0 });
    expect(targetMirror?.heldPages).toBe(2);
  });

  it('are as many as both sides agreed on, and the rest crosses whole', () => {
    const memory = new Memory(new SeededChance(8));
    const { counters, sourceMirror, targetMirror } = travel(memory.stream([all, all]), keeping(100));
    expect(counters).toMatchObject({ samePages: 100, rawPages: 2 * PAGES - 100 });
    expect([sourceMirror?.heldPages, targetMirror?.heldPages]).toEqual([100, 100]);
  });

  it('are the same on both sides, byte for byte, after any trip', () => {
    for (let seed = 20; seed < 32; seed += 1) {
      const chance = new SeededChance(seed);
      const memory = new Memory(chance);
      const writer = new StreamWriter().header().memoryBegin(BLOCKS);
      for (let round = 0; round < 6; round += 1) {
        writer.part();
        for (let count = 0; count < 400; count += 1) {
          const page = chance.below(PAGES);
          const draw = chance.below(10);
          if (draw === 0) writer.zeroPage('pc.ram', page);
          else if (draw === 1) memory.pages[page] = Buffer.alloc(PAGE_BYTES);
          else if (draw < 5) memory.touch(page, 1 + chance.below(900));
          else if (draw === 5) memory.pages[page] = Buffer.from(memory.pages[chance.below(PAGES)]!);
          if (draw > 0) writer.page('pc.ram', page, memory.pages[page]!);
        }
        writer.sectionEnd();
      }
      const stream = writer.deviceState(chance.bytes(10)).bytes();
      const { sourceMirror, targetMirror } = travel(stream, keeping(20 + chance.below(PAGES)));
      for (let page = 0; page < PAGES + 8; page += 1) {
        expect(sourceMirror!.isZero(page)).toBe(targetMirror!.isZero(page));
        const [ours, theirs] = [sourceMirror!.bytesOf(page), targetMirror!.bytesOf(page)];
        if ((ours === null) !== (theirs === null) || (ours && Buffer.compare(ours, theirs!) !== 0))
          throw new Error(`With seed ${seed} both sides hold another page ${page}.`);
      }
    }
  });

  it('are kept from one trip to the next, in the other direction', () => {
    const memory = new Memory(new SeededChance(9));
    const there = travel(memory.stream([all]), keeping(PAGES));
    for (const page of all.slice(0, 30)) memory.touch(page, 16);
    const back = { startMirror: () => ({ mirror: there.targetMirror!, generation: 3 }) };
    const { counters, sentBytes } = travel(memory.stream([all]), back, there.sourceMirror);
    expect(counters).toMatchObject({ samePages: PAGES - 30, deltaPages: 30, rawPages: 0 });
    expect(sentBytes).toBeLessThan(PAGES * PAGE_BYTES * 0.003);
  });
});

describe('the description of the memory', () => {
  const layout = new PageLayout(BLOCKS);

  it('comes out as it went in', () => {
    const note = decodeLayout(encodeLayout({ layout, generation: 9, mirrorPagesMax: 77 }));
    expect(note).toMatchObject({ generation: 9, mirrorPagesMax: 77 });
    expect(note.layout.equals(layout)).toBe(true);
    expect(note.layout.pageCount).toBe(PAGES + 8);
  });

  it('numbers the pages of one block after those of the other', () => {
    expect(layout.pageAt(0, 0, 0x28)).toBe(0);
    expect(layout.pageAt(0, 0, PAGES * PAGE_BYTES)).toBe(-1);
    expect(layout.pageAt(1, 0, PAGE_BYTES + 8)).toBe(PAGES + 1);
    expect(layout.pageAt(2, 0, 0)).toBe(-1);
    expect(layout.pageAt(0, 1, 0)).toBe(-1);
  });

  it('is refused when it is cut, too long, names a block twice or has no end of memory', () => {
    const payload = Buffer.from(encodeLayout({ layout, generation: 0, mirrorPagesMax: 0 }));
    for (let length = 0; length < payload.length; length += 1)
      expect(() => decodeLayout(payload.subarray(0, length))).toThrow('described by');
    expect(() => decodeLayout(Buffer.concat([payload, Buffer.alloc(1)]))).toThrow('more than its blocks');
    const twice = new PageLayout([BLOCKS[0]!, BLOCKS[0]!]);
    const note = { generation: 0, mirrorPagesMax: 0 };
    expect(() => decodeLayout(encodeLayout({ layout: twice, ...note }))).toThrow('one name');
    const endless = Buffer.from(payload);
    endless.writeBigUInt64BE(2n ** 63n, payload.length - 8);
    expect(() => decodeLayout(endless)).toThrow(`${2n ** 63n} bytes`);
  });
});

describe('a mirror', () => {
  it('takes memory as it fills, and no more than it may', () => {
    const mirror = emptyMirror(new PageLayout([{ name: 'pc.ram', bytes: 2 ** 34 }]), 50_000);
    expect(mirror.memoryBytes).toBe(0);
    for (let page = 0; page < 60_000; page += 1) {
      const place = mirror.reserve(page);
      expect(place > 0).toBe(page < 50_000);
    }
    expect(mirror.heldPages).toBe(50_000);
    expect(mirror.memoryBytes).toBeLessThan(50_000 * PAGE_BYTES + 3 * 1024 * 1024);
    mirror.setZero(7);
    expect(mirror.reserve(55_000)).toBeGreaterThan(0);
    expect(mirror.pointer(7)).toBe(0);
  });
});
