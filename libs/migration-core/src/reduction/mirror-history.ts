import {
  CHUNK_PAGES,
  type HistoryChunk,
  type HistoryOutcome,
  type HistoryReader,
  type HistoryWriter,
  PRESENCE,
} from '../history';
import { PAGE_BYTES } from '../qemu-stream';
import { PageLayout } from './page-layout';
import { emptyMirror, MIRROR_PAGES_MAX, PageMirror } from './page-mirror';

/** Writes all that the mirror holds and commits it. The mirror must not change meanwhile. Rejects never. */
export async function saveMirror(mirror: PageMirror, writer: HistoryWriter): Promise<HistoryOutcome> {
  const { layout } = writer;
  const pages = new Uint8Array(CHUNK_PAGES * PAGE_BYTES);
  let firstPageOfBlock = 0;
  let block = 0;
  for (let chunkIndex = 0; chunkIndex < layout.chunkCount; chunkIndex += 1) {
    const { blockIndex, firstPage, pageCount } = layout.placeOf(chunkIndex);
    for (; block < blockIndex; block += 1) firstPageOfBlock += layout.blocks[block]!.bytes / PAGE_BYTES;
    const presence = new Uint8Array(pageCount);
    let held = 0;
    for (let index = 0; index < pageCount; index += 1) {
      const page = firstPageOfBlock + firstPage + index;
      const bytes = mirror.bytesOf(page);
      if (bytes) pages.set(bytes, PAGE_BYTES * held++);
      presence[index] = bytes ? PRESENCE.held : mirror.isZero(page) ? PRESENCE.zero : PRESENCE.unknown;
    }
    if (!(await writer.writeChunk(chunkIndex, presence, pages.slice(0, held * PAGE_BYTES)))) break;
  }
  return writer.commit();
}

export interface LoadedMirror {
  readonly mirror: PageMirror;
  /** One bit for each chunk that could be read and had room; of the others nothing is in the mirror. */
  readonly chunks: Uint8Array;
}

/** The mirror that a history was written from, as far as it can be read, in whole chunks up to so many pages. */
export async function loadMirror(reader: HistoryReader, pagesMax: number): Promise<LoadedMirror> {
  const layout = new PageLayout(reader.description.blocks);
  const allowed = Math.min(pagesMax, MIRROR_PAGES_MAX, layout.pageCount);
  const mirror = emptyMirror(layout, allowed);
  // In one step: each growth of the memory is a call of the system.
  mirror.makeRoom(reader.heldPages);
  const chunks = new Uint8Array((reader.layout.chunkCount + 7) >> 3);
  for await (const chunk of reader.chunks()) {
    // Whole or not at all: the other side, which may have lost other chunks, must be able to say what it took.
    if (mirror.heldPages + chunk.pages.length / PAGE_BYTES > allowed) continue;
    takeChunk(mirror, chunk, reader);
    chunks[chunk.chunkIndex >> 3]! |= 1 << (chunk.chunkIndex & 7);
  }
  return { mirror, chunks };
}

/** Forgets what lies in chunks that are not in the map: the other side does not hold it. */
export function forgetOutside(mirror: PageMirror, chunks: Uint8Array): void {
  let chunkIndex = 0;
  let firstPage = 0;
  for (const { bytes } of mirror.layout.blocks) {
    const pageCount = bytes / PAGE_BYTES;
    for (let first = 0; first < pageCount; first += CHUNK_PAGES, chunkIndex += 1) {
      if ((chunks[chunkIndex >> 3]! >> (chunkIndex & 7)) & 1) continue;
      const last = Math.min(pageCount, first + CHUNK_PAGES);
      for (let index = first; index < last; index += 1) mirror.forget(firstPage + index);
    }
    firstPage += pageCount;
  }
}

function takeChunk(
  mirror: PageMirror,
  { chunkIndex, presence, pages }: HistoryChunk,
  reader: HistoryReader,
): void {
  const { blockIndex, firstPage } = reader.layout.placeOf(chunkIndex);
  let page = firstPage;
  for (const { bytes } of mirror.layout.blocks.slice(0, blockIndex)) page += bytes / PAGE_BYTES;
  let at = 0;
  for (const known of presence) {
    if (known === PRESENCE.zero) mirror.setZero(page);
    if (known === PRESENCE.held) {
      mirror.write(page, pages.subarray(at, at + PAGE_BYTES));
      at += PAGE_BYTES;
    }
    page += 1;
  }
}
