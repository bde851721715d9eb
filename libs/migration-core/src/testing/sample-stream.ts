import { PAGE_BYTES } from '../qemu-stream';
import { SeededChance } from './seeded-chance';
import { StreamWriter } from './stream-writer';

export const SAMPLE_BLOCKS = [
  { name: 'pc.ram', bytes: 40 * PAGE_BYTES },
  { name: '0000:00:02.0/vga.vram', bytes: 8 * PAGE_BYTES },
  { name: 'pc.bios', bytes: 4 * PAGE_BYTES },
] as const;

export interface SampleStream {
  readonly bytes: Buffer;
  readonly zeroPages: number;
  readonly rawPages: number;
  readonly rounds: number;
  readonly sections: number;
  readonly deviceState: Uint8Array;
}

/** A whole stream of two rounds with every record that is understood, and what a reader must find in it. */
export function sampleStream(seed = 1): SampleStream {
  const chance = new SeededChance(seed);
  const writer = new StreamWriter()
    .header()
    .command(1)
    .command(2, Uint8Array.of(0, 0, 0, 1));
  writer.memoryBegin(SAMPLE_BLOCKS);
  let zeroPages = 0;
  let rawPages = 0;
  const put = (block: string, index: number): void => {
    const draw = chance.below(20);
    if (draw === 0) writer.zeroPage(block, index, 0xff);
    else if (draw === 1) writer.encodedPage(block, index, chance.bytes(1 + chance.below(60)));
    else if (draw < 11) {
      zeroPages += 1;
      // QEMU says so itself, but a page may also turn out to be zero.
      if (draw < 5) writer.page(block, index, new Uint8Array(PAGE_BYTES));
      else writer.zeroPage(block, index);
    } else {
      rawPages += 1;
      writer.page(block, index, chance.bytes(PAGE_BYTES));
    }
  };
  writer.part().multifdFlush();
  for (const { name, bytes } of SAMPLE_BLOCKS)
    for (let index = 0; index < bytes / PAGE_BYTES; index += 1) {
      put(name, index);
      if (chance.below(12) === 0) writer.sectionEnd().part();
    }
  writer.sectionEnd().command(11).lastPart();
  for (let index = 3; index < 30; index += 3) put('pc.ram', index);
  put('pc.bios', 1);
  writer.sectionEnd();
  const deviceState = chance.bytes(300);
  writer.deviceState(deviceState);
  return { bytes: writer.bytes(), zeroPages, rawPages, rounds: 2, sections: writer.sections, deviceState };
}
