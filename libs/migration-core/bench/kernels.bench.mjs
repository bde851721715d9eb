/*
 * Speed of the page kernels beside the same work in C (`kernels-peer.c`, compiled by `gcc -O3 -march=native` now) and
 * in TypeScript, taking turns in one run. Build first (`npx nx build migration-core`), then
 *   node libs/migration-core/bench/kernels.bench.mjs [rounds]
 * GB/s of pages looked at, per second of processor time, median and every run; for kernels with two pages the bytes of
 * one count. "In memory" works on more than the caches hold, "in cache" on one batch of 128 pages over and over.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const { createKernels, KERNEL_RESERVED_BYTES } = require('../dist/kernels');

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGE_BYTES = 4_096;
const DIRTY_OF_1000 = 50;
const RUN_BYTES = 256 * 1024 * 1024;
const SETTINGS = [
  { name: 'in memory', pages: 8_192 },
  { name: 'in cache', pages: 128 },
];
/** Encode before apply before compare: each takes what the one before has written. */
const KERNELS = ['encode', 'apply', 'zero', 'hash', 'compare', 'same', 'crc32c'];
/** Kernels of the peer alone, with what they are made of; 0 as result where the processor lacks it. */
const NATIVE_ONLY = [
  ['encode-by-hand', 'C, AVX-512'],
  ['crc32c-instruction', 'C, SSE 4.2'],
];
const GOALS = { zero: 0.7, hash: 0.7, encode: 0.7 };
const rounds = Number(process.argv[2] ?? 7);

/** The same numbers as the peer's (xorshift). */
function randomWords() {
  let state = 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** One side of the race: kernels in a memory laid out as the peer's. */
class Contender {
  constructor(implementation, pages) {
    const bytes = pages * PAGE_BYTES;
    this.name = implementation;
    this.pages = pages;
    this.kernels = createKernels({ maxBytes: 6 * bytes + 2 ** 20, implementation });
    let end = KERNEL_RESERVED_BYTES;
    const room = (length) => {
      const at = end;
      end += Math.ceil(length / 64) * 64;
      return at;
    };
    this.at = {
      ...{
        zeros: room(bytes),
        base: room(bytes),
        next: room(bytes),
        copy: room(bytes),
        literals: room(bytes + 64),
      },
      ...{
        wordMasks: room(64 * pages),
        lineMasks: room(8 * pages),
        kinds: room(pages),
        out: room(64 * pages),
      },
      ...{ zeroPages: room(4 * pages), basePages: room(4 * pages), nextPages: room(4 * pages) },
      ...{ copyPages: room(4 * pages), used: room(8) },
    };
    const { memory } = this.kernels;
    memory.grow(end);
    this.fill(memory.words);
  }

  fill(words) {
    const { at, pages } = this;
    const random = randomWords();
    const pageWords = (pages * PAGE_BYTES) / 4;
    // Memory never written to may be one page of zeros in the processor's cache, however long it is.
    words.fill(1, KERNEL_RESERVED_BYTES / 4);
    words.fill(0, KERNEL_RESERVED_BYTES / 4);
    for (let word = 0; word < pageWords; word += 1) words[at.base / 4 + word] = random();
    words.copyWithin(at.next / 4, at.base / 4, at.base / 4 + pageWords);
    for (let word = 0; word < pageWords; word += 2)
      if (random() % 1_000 < DIRTY_OF_1000) words[at.next / 4 + word] ^= 0xff;
    for (let index = 0; index < pages; index += 1) {
      words[at.zeroPages / 4 + index] = at.zeros + index * PAGE_BYTES;
      words[at.basePages / 4 + index] = at.base + index * PAGE_BYTES;
      words[at.nextPages / 4 + index] = at.next + index * PAGE_BYTES;
      words[at.copyPages / 4 + index] = at.copy + index * PAGE_BYTES;
    }
  }

  /** Seconds of processor time, and a digest of the result. */
  async run(kernel, repeats) {
    const from = process.cpuUsage();
    for (let repeat = 0; repeat < repeats; repeat += 1) this.call(kernel);
    const { user, system } = process.cpuUsage(from);
    return { seconds: (user + system) / 1e6, digest: this.digest(kernel) };
  }

  call(kernel) {
    const { at, kernels, pages } = this;
    if (kernel === 'zero') kernels.scanZero(at.zeroPages, pages, at.out);
    else if (kernel === 'compare') kernels.comparePages(at.nextPages, at.copyPages, pages, at.out);
    else if (kernel === 'hash') kernels.hashPages(at.basePages, pages, 7, 0, at.out);
    else if (kernel === 'encode') this.encode(at.basePages, at.wordMasks);
    else if (kernel === 'same') this.encode(at.copyPages, at.out);
    else if (kernel === 'apply') this.apply();
    else this.sum = kernels.crc32c(at.base, pages * PAGE_BYTES, 0);
  }

  encode(bases, wordMasks) {
    const { at, kernels, pages } = this;
    kernels.encodeDeltas(
      ...[bases, at.nextPages, pages, PAGE_BYTES],
      ...[at.kinds, at.lineMasks, wordMasks, at.literals, at.used],
    );
  }

  apply() {
    const { at, kernels, pages } = this;
    const [wordMaskBytes, literalBytes] = (this.taken ??= this.used());
    const result = kernels.applyDeltas(
      ...[at.basePages, at.copyPages, pages, at.lineMasks],
      ...[at.wordMasks, at.wordMasks + wordMaskBytes, at.literals, at.literals + literalBytes, at.used],
    );
    if (result !== 0) throw new Error('The columns are too short.');
  }

  used() {
    const { words } = this.kernels.memory;
    return [words[this.at.used / 4], words[this.at.used / 4 + 1]];
  }

  digest(kernel) {
    const { at, kernels, pages } = this;
    if (kernel === 'crc32c') return this.sum;
    if (kernel === 'hash') return kernels.crc32c(at.out, 16 * pages, 0);
    if (kernel === 'apply') return kernels.crc32c(at.copy, pages * PAGE_BYTES, 0);
    if (kernel === 'zero' || kernel === 'compare') return kernels.crc32c(at.out, pages, 0);
    const [wordMaskBytes, literalBytes] = this.used();
    const masks = kernel === 'encode' ? kernels.crc32c(at.lineMasks, 8 * pages, 0) : 0;
    return (masks ^ wordMaskBytes ^ literalBytes) >>> 0;
  }
}

/** The C program, asked over its pipes. */
class Peer {
  constructor(program, pages) {
    this.name = 'C';
    this.child = spawn(program, [String(pages), String(DIRTY_OF_1000)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.lines = createInterface({ input: this.child.stdout });
  }

  async run(kernel, repeats) {
    this.child.stdin.write(`${kernel} ${repeats}\n`);
    const [line] = await once(this.lines, 'line', { signal: AbortSignal.timeout(120_000) });
    const [nanoseconds, digest] = line.split(' ').map(Number);
    return { seconds: nanoseconds / 1e9, digest };
  }

  async close() {
    this.child.stdin.end();
    await once(this.child, 'exit');
  }
}

function compiledPeer(folder) {
  const program = join(folder, 'kernels-peer');
  const flags = ['-O3', '-march=native', '-std=gnu11'];
  try {
    const version = execFileSync('gcc', ['--version'], { encoding: 'utf8' }).split('\n')[0];
    execFileSync('gcc', [...flags, '-o', program, join(HERE, 'kernels-peer.c')]);
    console.log(`Peer: ${version}, ${flags.join(' ')}`);
    return program;
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    console.log('No peer: there is no gcc here, so the ratios are left out.');
    return undefined;
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function race(kernel, contenders, pages) {
  const repeats = Math.max(1, Math.round(RUN_BYTES / (pages * PAGE_BYTES)));
  const speeds = new Map();
  const digests = new Set();
  // The first round warms up and is not counted: the compiler of the process goes from quick to good code in it.
  for (let round = 0; round <= rounds; round += 1)
    for (const contender of contenders) {
      const isSlow = contender.name === 'typescript';
      const times = isSlow ? Math.max(1, Math.round(repeats / 8)) : repeats;
      const { seconds, digest } = await contender.run(kernel, times);
      digests.add(digest);
      if (round === 0) continue;
      const speed = (pages * PAGE_BYTES * times) / seconds / 1e9;
      speeds.set(contender.name, [...(speeds.get(contender.name) ?? []), speed]);
    }
  if (digests.size !== 1) throw new Error(`${kernel}: the contenders' results differ.`);
  return speeds;
}

function show(kernel, speeds) {
  for (const [name, runs] of speeds)
    console.log(
      `${kernel.padEnd(18)} ${name.padEnd(11)} ${median(runs).toFixed(2).padStart(6)} GB/s  ` +
        `(${runs.map((run) => run.toFixed(1)).join(' ')})`,
    );
  if (!speeds.has('C')) return;
  const ratio = median(speeds.get('wasm')) / median(speeds.get('C'));
  const goal = GOALS[kernel];
  const verdict = goal === undefined ? '' : `, goal ${goal}: ${ratio >= goal ? 'met' : 'MISSED'}`;
  console.log(`${kernel.padEnd(18)} wasm / C    ${ratio.toFixed(2).padStart(6)}${verdict}`);
}

console.log(
  `${new Date().toISOString()}  ${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} processors, Node ${process.version}`,
);
const folder = mkdtempSync(join(tmpdir(), 'kernels-bench-'));
try {
  const program = compiledPeer(folder);
  for (const { name, pages } of SETTINGS) {
    console.log(
      `\n${name}: ${pages} pages, ${DIRTY_OF_1000 / 10} % of their words changed, ${rounds} rounds`,
    );
    const peer = program && new Peer(program, pages);
    const contenders = [
      new Contender('wasm', pages),
      ...(peer ? [peer] : []),
      new Contender('typescript', pages),
    ];
    for (const kernel of KERNELS) show(kernel, await race(kernel, contenders, pages));
    if (peer) {
      console.log('What WebAssembly has no instructions for:');
      for (const [kernel, name] of NATIVE_ONLY)
        show(kernel, new Map([[name, (await race(kernel, [peer], pages)).get('C')]]));
      await peer.close();
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
