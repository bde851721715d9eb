import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

const PAGE_BYTES = 4_096;
const MIB = 1024 * 1024;
/** The guest takes the text of its records from the image's begin. */
export const TEXT_BYTES = 65_536;
const RECORD_BYTES = 256;
const RECORD_HEAD_BYTES = 32;
const RUN_PAGES = 64;

const NOTHING = Buffer.alloc(PAGE_BYTES);

export interface MemorySizes {
  readonly fileMiB: number;
  readonly heapMiB: number;
  readonly hotMiB: number;
}

/**
 * What the guest's memory holds: file pages as a page cache has them, the heap of a real program, and the hot pages.
 * File pages are blocks of a server's disk, which file systems align like pages.
 */
export async function guestMemory(diskPath: string, sizes: MemorySizes): Promise<Buffer> {
  const image = Buffer.alloc((sizes.fileMiB + sizes.heapMiB + sizes.hotMiB) * MIB);
  const fileBytes = sizes.fileMiB * MIB;
  const heapBytes = sizes.heapMiB * MIB;
  await fillFromDisk(diskPath, image.subarray(0, fileBytes));
  await fillFromHeap(image.subarray(fileBytes, fileBytes + heapBytes));
  fillRecords(image.subarray(fileBytes + heapBytes), image.subarray(0, TEXT_BYTES));
  return image;
}

/** Text first, then runs of pages from all over the disk. */
async function fillFromDisk(diskPath: string, target: Buffer): Promise<void> {
  const disk = await open(diskPath, 'r');
  try {
    const { size } = await disk.stat();
    const run = Buffer.alloc(RUN_PAGES * PAGE_BYTES);
    let textAt = 0;
    let at = TEXT_BYTES;
    for (let offset = 0; offset < size && (at < target.length || textAt < TEXT_BYTES); offset += run.length) {
      const { bytesRead } = await disk.read(run, 0, run.length, offset);
      for (let page = 0; page + PAGE_BYTES <= bytesRead; page += PAGE_BYTES) {
        const content = run.subarray(page, page + PAGE_BYTES);
        if (textAt < TEXT_BYTES && isText(content)) textAt += content.copy(target, textAt);
        else if (at < target.length && !content.equals(NOTHING)) at += content.copy(target, at);
      }
    }
    if (at < target.length || textAt < TEXT_BYTES)
      throw new Error(`${diskPath} holds too little for a file cache of ${target.length / MIB} MiB.`);
  } finally {
    await disk.close();
  }
}

function isText(page: Buffer): boolean {
  return page.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x09);
}

/** The pages that a Node process has written while it parsed the TypeScript compiler, as often as they are needed. */
const HEAP_PROGRAM = `
const { readFileSync } = require('node:fs');
const ts = require(process.argv[1]);
const text = readFileSync(process.argv[1], 'utf8');
const kept = [];
while (process.memoryUsage().rss < Number(process.argv[2]))
  kept.push(ts.createSourceFile(kept.length + '.js', '//' + kept.length + '\\n' + text, 99, true));
console.log('full');
setInterval(() => kept.length, 1000);
`;

async function fillFromHeap(target: Buffer): Promise<void> {
  const compiler = require.resolve('typescript');
  const rssBytes = target.length + 200 * MIB;
  const child = spawn(process.execPath, ['-e', HEAP_PROGRAM, compiler, `${rssBytes}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: child.stdout });
    await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() =>
        Promise.reject(new Error('The program whose heap was wanted has ended.')),
      ),
    ]);
    await readHeap(child, target);
  } finally {
    child.kill('SIGKILL');
  }
}

async function readHeap(child: ChildProcess, target: Buffer): Promise<void> {
  const maps = await readFile(`/proc/${child.pid}/maps`, 'utf8');
  const memory = await open(`/proc/${child.pid}/mem`, 'r');
  try {
    let at = 0;
    const page = Buffer.alloc(PAGE_BYTES);
    for (const line of maps.split('\n')) {
      const found = /^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0\s*(\[heap\])?$/.exec(line);
      if (!found) continue;
      const end = Number.parseInt(found[2]!, 16);
      for (let from = Number.parseInt(found[1]!, 16); from < end && at < target.length; from += PAGE_BYTES) {
        const { bytesRead } = await memory.read(page, 0, PAGE_BYTES, from);
        if (bytesRead === PAGE_BYTES && !page.equals(NOTHING)) at += page.copy(target, at);
      }
    }
    if (at < target.length) throw new Error(`Found only ${at} bytes of a heap, not ${target.length}.`);
  } finally {
    await memory.close();
  }
}

/** Records like those the guest writes later: a head of counters and an identity, then text. */
function fillRecords(target: Buffer, text: Buffer): void {
  let seed = 0x2545f491;
  const noise = (): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
  const lengthMax = RECORD_BYTES - RECORD_HEAD_BYTES;
  for (let at = 0; at < target.length; at += RECORD_BYTES) {
    target.writeUInt32LE(at / RECORD_BYTES, at);
    target.writeUInt32LE(Math.floor(at / PAGE_BYTES), at + 12);
    for (let word = 16; word < RECORD_HEAD_BYTES; word += 4) target.writeUInt32LE(noise(), at + word);
    const from = (noise() & 0xfff0) % (TEXT_BYTES - lengthMax);
    text.copy(target, at + RECORD_HEAD_BYTES, from, from + lengthMax);
  }
}
