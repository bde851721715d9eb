import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_BYTES } from '../../qemu-stream';
import { SeededChance } from '../../testing/seeded-chance';
import type { HistoryDescription } from '../description';
import type { HistoryReader } from '../history-reader';
import { HistoryStore, type HistoryStoreOptions } from '../history-store';
import type { HistoryOutcome, HistoryWriter } from '../history-writer';
import { CHUNK_PAGES } from '../layout';
import { PRESENCE } from '../presence';

export const NOW_MS = 1_700_000_000_000;
/** Stands at the begin of every held page of a sample. */
export const MARKER = Buffer.from('a secret that lies in the memory of the guest');

/** Two blocks: three whole chunks and one of 10 pages, then one of 100 pages. */
export function describeGuest(more: Partial<HistoryDescription> = {}): HistoryDescription {
  return {
    guestId: 'guest/../1',
    scope: 'tenant-a',
    historyId: '00112233445566778899aabbccddeeff',
    blocks: [
      { name: 'pc.ram', bytes: (3 * CHUNK_PAGES + 10) * PAGE_BYTES },
      { name: 'vga.vram', bytes: 100 * PAGE_BYTES },
    ],
    savedAtMs: NOW_MS,
    chunkPages: CHUNK_PAGES,
    ...more,
  };
}

export interface SampleChunk {
  readonly presence: Uint8Array;
  readonly pages: Uint8Array;
}

export function sampleChunk(pageCount: number, seed: number): SampleChunk {
  const chance = new SeededChance(seed);
  const presence = Uint8Array.from({ length: pageCount }, () => chance.below(3));
  const pages = Buffer.alloc(presence.filter((value) => value === PRESENCE.held).length * PAGE_BYTES);
  for (let at = 0; at < pages.length; at += PAGE_BYTES) {
    pages.fill(chance.below(256), at, at + PAGE_BYTES);
    MARKER.copy(pages, at);
  }
  return { presence, pages };
}

/** Writes a sample chunk to every place, in the order given, and returns them by index. */
export async function writeSample(
  writer: HistoryWriter,
  seed: number,
  order = Array.from({ length: writer.layout.chunkCount }, (_, index) => index),
): Promise<SampleChunk[]> {
  const chunks: SampleChunk[] = [];
  for (const index of order) {
    const chunk = sampleChunk(writer.layout.placeOf(index).pageCount, seed * 100 + index);
    chunks[index] = chunk;
    await writer.writeChunk(index, chunk.presence, chunk.pages);
  }
  return chunks;
}

/** Keeps a sample as the guest's history. */
export async function keepSample(
  store: HistoryStore,
  description: HistoryDescription,
  seed = 1,
): Promise<{ chunks: SampleChunk[]; outcome: HistoryOutcome }> {
  const writer = await store.begin(description.guestId, description);
  const chunks = await writeSample(writer, seed);
  return { chunks, outcome: await writer.commit() };
}

/** The chunks that can be read, by index. */
export async function readAll(reader: HistoryReader): Promise<Map<number, SampleChunk>> {
  const chunks = new Map<number, SampleChunk>();
  for await (const { chunkIndex, presence, pages } of reader.chunks())
    chunks.set(chunkIndex, { presence, pages: new Uint8Array(pages) });
  return chunks;
}

export function isSame(a: SampleChunk, b: SampleChunk): boolean {
  return Buffer.compare(a.presence, b.presence) === 0 && Buffer.compare(a.pages, b.pages) === 0;
}

/** A folder that is gone at the end of each test, and stores in it. */
export class HistoryFixture {
  root = '';
  readonly logged: string[] = [];

  async make(): Promise<void> {
    this.root = await mkdtemp(join(tmpdir(), 'history-spec-'));
    this.logged.splice(0);
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }

  get folder(): string {
    return join(this.root, 'histories');
  }

  open(more: Partial<HistoryStoreOptions> = {}): Promise<HistoryStore> {
    return HistoryStore.open({
      folder: this.folder,
      keyPath: join(this.root, 'agent.key'),
      bytesMax: 100 * 1024 * 1024,
      expiresAfterMs: 1_000,
      nowMs: () => NOW_MS,
      log: (text) => this.logged.push(text),
      ...more,
    });
  }
}
