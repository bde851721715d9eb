import { PAGE_BYTES, type StreamVisitor } from './qemu-stream';
import { StreamParser } from './stream-parser';
import { cutsOf } from './testing/cuts-of';
import { SAMPLE_BLOCKS, sampleStream } from './testing/sample-stream';
import { SeededChance } from './testing/seeded-chance';
import { StreamWriter } from './testing/stream-writer';

/** Lays what was told end to end again, and counts. */
class Listener implements StreamVisitor {
  readonly pieces: Buffer[] = [];
  readonly names: string[] = [];
  pages = 0;
  zeroPages = 0;
  rounds = 1;
  sections = 0;

  opaque(bytes: Uint8Array): void {
    this.pieces.push(Buffer.from(bytes));
  }
  page(high: number, low: number, name: Uint8Array | null, bytes: Uint8Array, offset: number): void {
    this.#record(high, low, name);
    this.pages += 1;
    this.pieces.push(Buffer.from(bytes.subarray(offset, offset + PAGE_BYTES)));
  }
  zeroPage(high: number, low: number, name: Uint8Array | null): void {
    this.#record(high, low, name);
    this.zeroPages += 1;
    this.pieces.push(Buffer.of(0));
  }
  roundBegin(): void {
    this.rounds += 1;
  }
  sectionEnd(): void {
    this.sections += 1;
  }
  get told(): Buffer {
    return Buffer.concat(this.pieces);
  }
  #record(high: number, low: number, name: Uint8Array | null): void {
    const word = Buffer.alloc(8);
    word.writeUInt32BE(high, 0);
    word.writeUInt32BE(low, 4);
    this.pieces.push(word);
    if (name === null) return;
    this.names.push(Buffer.from(name).toString('latin1'));
    this.pieces.push(Buffer.of(name.length), Buffer.from(name));
  }
}

function parse(bytes: Uint8Array, chunkBytes = bytes.length): { listener: Listener; parser: StreamParser } {
  const listener = new Listener();
  const parser = new StreamParser(listener);
  for (let at = 0; at < bytes.length; at += chunkBytes) parser.push(bytes.subarray(at, at + chunkBytes));
  parser.end();
  expect(listener.told.equals(bytes)).toBe(true);
  return { listener, parser };
}

const begun = (): StreamWriter => new StreamWriter().header().memoryBegin(SAMPLE_BLOCKS);
const content = (): Uint8Array => new SeededChance(5).bytes(PAGE_BYTES);
const reasonOf = (writer: StreamWriter): string | null => parse(writer.bytes()).parser.passThroughReason;

describe('the stream parser', () => {
  it('finds blocks, pages, rounds and sections, whatever the chunks', () => {
    const sample = sampleStream();
    for (const chunkBytes of [1, 7, 8, 9, 4_095, 4_096, 4_104, 65_536, sample.bytes.length]) {
      const { listener, parser } = parse(sample.bytes, chunkBytes);
      expect(parser.passThroughReason).toBeNull();
      expect(parser.isPassingThrough).toBe(true);
      expect(parser.blocks.list).toEqual(SAMPLE_BLOCKS);
      expect(listener.rounds).toBe(sample.rounds);
      expect(listener.sections).toBe(sample.sections);
      const understood = sample.zeroPages + sample.rawPages;
      expect(listener.pages + listener.zeroPages).toBe(understood);
      expect(new Set(listener.names)).toEqual(new Set(SAMPLE_BLOCKS.map(({ name }) => name)));
      expect(
        listener.told.subarray(-sample.deviceState.length - 200).includes(Buffer.from(sample.deviceState)),
      ).toBe(true);
    }
  });

  it('reads addresses above 4 GiB', () => {
    const blocks = [{ name: 'pc.ram', bytes: 2 ** 33 }];
    const pages = [2 ** 20 - 1, 2 ** 20, 2 ** 21 - 1];
    const writer = new StreamWriter().header().memoryBegin(blocks).part();
    for (const index of pages) writer.zeroPage('pc.ram', index);
    const { listener, parser } = parse(writer.sectionEnd().bytes());
    expect(parser.passThroughReason).toBeNull();
    expect(listener).toMatchObject({ zeroPages: 3, rounds: 1 });
  });

  it.each<[string, () => StreamWriter, RegExp]>([
    ['another magic', () => new StreamWriter().raw(Buffer.from('QEVX\0\0\0\x03 and more')), /does not begin/],
    ['version 2', () => new StreamWriter().raw(Buffer.from('QEVM\0\0\0\x02 and more')), /does not begin/],
    ['an endless configuration', () => new StreamWriter().header('x'.repeat(257)), /configuration/],
    ['an unknown section type', () => begun().raw([0x30]), /type 48/],
    ['an unknown command', () => begun().command(8, Buffer.alloc(4)), /command 8/],
    ['a second START', () => begun().raw([1]).u32(9).text('ram').u32(0).u32(4), /another kind/],
    ['a section of other id', () => begun().raw([2]).u32(9), /section 9/],
    [
      'state before memory',
      () => begun().deviceState(Buffer.alloc(9)),
      /device state comes before the memory is over/,
    ],
    ['an unknown page flag', () => begun().part().u64(0x100), /flags 0x100/],
    ['the RDMA hook', () => begun().part().u64(0x80), /flags 0x80/],
    ['two flags at once', () => begun().part().u64(0x0a), /flags 0xa/],
    ['no flags', () => begun().part().u64(0x1000), /flags 0x0/],
    ['a block nobody listed', () => begun().part().page('pc.rom', 0, content()), /outside/],
    ['a page past its block', () => begun().part().page('pc.ram', 40, content()), /outside/],
    [
      'a page at 2^48',
      () =>
        begun()
          .part()
          .page('pc.ram', 2 ** 36, content()),
      /outside/,
    ],
    ['a continued page without one before', () => begun().part().u64(0x28).raw(content()), /outside/],
    ['a page that names no block', () => begun().part().u64(0x08).raw([0]), /names no block/],
    [
      'an encoded page above a page',
      () => begun().part().encodedPage('pc.ram', 0, Buffer.alloc(4_097)),
      /long/,
    ],
    ['no footer', () => begun().part().u64(0x10).raw(Buffer.alloc(5)), /footer/],
    [
      'block sizes that do not add up',
      () =>
        new StreamWriter()
          .header()
          .raw([1])
          .u32(2)
          .text('ram')
          .u32(0)
          .u32(4)
          .u64(0x3004)
          .text('a')
          .u64(0x5000),
      /add up/,
    ],
    ['a RAM size above all machines', () => memorySize(2 ** 48), /RAM size/],
    ['no RAM', () => memorySize(0), /RAM size/],
    ['blocks of one name', () => memorySize(0x4000).text('a').u64(0x1000).text('a').u64(0x3000), /add up/],
    ['an extra field for each block', () => memorySize(0x1000).text('a').u64(0x1000).u64(0), /flags 0x0/],
    ['an early end', () => begun().part().page('pc.ram', 0, content().subarray(9)), /middle/],
  ])('passes everything on from %s on', (_, write, reason) => {
    const writer = write();
    const follows = sampleStream().bytes;
    if (!/middle/.test(reason.source)) writer.raw(follows);
    expect(reasonOf(writer)).toMatch(reason);
  });

  it('tells a record of which only the beginning came when asked to, at any place', () => {
    const bytes = begun()
      .part()
      .page('pc.ram', 0, content())
      .zeroPage('pc.ram', 1)
      .encodedPage('pc.bios', 0, Buffer.alloc(40, 3))
      .zeroPage('pc.bios', 1)
      .page('pc.bios', 2, content())
      .sectionEnd()
      .bytes();
    for (const cut of cutsOf(bytes.length)) {
      const listener = new Listener();
      const parser = new StreamParser(listener);
      parser.push(bytes.subarray(0, cut));
      parser.release();
      expect(listener.told.length).toBe(cut);
      parser.push(bytes.subarray(cut));
      parser.end();
      expect(listener.told.equals(bytes)).toBe(true);
      expect(parser.passThroughReason).toBeNull();
      expect(listener.sections).toBe(2);
      // At most the record that was cut is not known as a page.
      expect(listener.pages + listener.zeroPages).toBeGreaterThanOrEqual(3);
    }
  });
});

function memorySize(bytes: number): StreamWriter {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(bytes) + 4n);
  return new StreamWriter().header().raw([1]).u32(2).text('ram').u32(0).u32(4).raw(size);
}
