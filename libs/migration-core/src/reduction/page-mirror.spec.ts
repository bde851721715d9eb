import { PAGE_BYTES } from '../qemu-stream';
import { PageLayout } from './page-layout';
import { emptyMirror, PART_PAGES, type PageMirror } from './page-mirror';

const PAGES = 64;

function layoutOf(...blocks: (readonly [name: string, pages: number])[]): PageLayout {
  return new PageLayout(blocks.map(([name, pages]) => ({ name, bytes: pages * PAGE_BYTES })));
}

function write(mirror: PageMirror, page: number, byte: number): boolean {
  return mirror.write(page, Buffer.alloc(PAGE_BYTES, byte));
}

function firstByteOf(mirror: PageMirror, page: number): number | undefined {
  return mirror.bytesOf(page)?.[0];
}

describe('a mirror that is laid out for other memory', () => {
  it('keeps the pages of blocks of the same name, wherever they lie now', () => {
    const mirror = emptyMirror(layoutOf(['vga', 4], ['ram', 8]), PAGES);
    write(mirror, 1, 0x11);
    write(mirror, 4, 0x40);
    mirror.setZero(5);
    const laidOut = mirror.laidOutAs(layoutOf(['ram', 8], ['bios', 2], ['vga', 4]));
    expect(firstByteOf(laidOut, 10 + 1)).toBe(0x11);
    expect(firstByteOf(laidOut, 0)).toBe(0x40);
    expect(laidOut.isZero(1)).toBe(true);
    expect(laidOut.isKnown(2)).toBe(false);
    expect(laidOut.isKnown(8)).toBe(false);
    expect(laidOut.heldPages).toBe(2);
  });

  it('forgets what lies beyond, and has its room again', () => {
    const mirror = emptyMirror(layoutOf(['ram', 8], ['gone', 8]), 4);
    for (const page of [0, 7, 9, 10]) expect(write(mirror, page, page + 1)).toBe(true);
    expect(write(mirror, 1, 0xff)).toBe(false);
    const laidOut = mirror.laidOutAs(layoutOf(['ram', 4]));
    expect(laidOut.heldPages).toBe(1);
    for (const page of [1, 2, 3]) expect(write(laidOut, page, 0xa0 + page)).toBe(true);
    expect([0, 1, 2, 3].map((page) => firstByteOf(laidOut, page))).toEqual([1, 0xa1, 0xa2, 0xa3]);
  });

  it('grows where the other memory is larger', () => {
    const mirror = emptyMirror(layoutOf(['ram', 4]), 4);
    write(mirror, 3, 3);
    const laidOut = mirror.laidOutAs(layoutOf(['ram', 16]));
    expect(write(laidOut, 15, 15)).toBe(true);
    expect(firstByteOf(laidOut, 3)).toBe(3);
    expect(firstByteOf(laidOut, 15)).toBe(15);
  });

  it('forgets pages that come into another part of the memory, and keeps those that stay in theirs', () => {
    const mirror = emptyMirror(layoutOf(['ram', 2 * PART_PAGES]), PAGES);
    for (const page of [0, PART_PAGES - 1, PART_PAGES, PART_PAGES + 5]) write(mirror, page, (page % 200) + 1);
    const laidOut = mirror.laidOutAs(layoutOf(['bios', 2], ['ram', 2 * PART_PAGES]));
    expect(firstByteOf(laidOut, 2)).toBe(1);
    expect(laidOut.isKnown(PART_PAGES + 1)).toBe(false);
    expect(firstByteOf(laidOut, PART_PAGES + 2)).toBe((PART_PAGES % 200) + 1);
    expect(laidOut.heldPages).toBe(3);
  });
});
