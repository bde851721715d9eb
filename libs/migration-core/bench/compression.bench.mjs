/*
 * Throughput and ratio of the column codecs per level and batch size. Build first (`npx nx build migration-core`), then
 *   node bench/compression.bench.mjs [file] [megabytes] [repeats]
 * Reads the 4 KiB blocks of the file that are not zero, spread over its length; a disk image or a memory dump is what
 * moves carry, and without one it takes this Node's own program. Where a `zstd` program is in the PATH it runs over the
 * same bytes, cut into the same batches, as peer. Prints every run and the median.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, fstatSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const require = createRequire(import.meta.url);
const { availableCodecs, CODEC_ID, ZSTD_LEVELS, sampledBitsPerByte } = require('../dist/compression');

const PAGE_BYTES = 4_096;
const READ_BYTES = 256 * 1024;
const BATCH_BYTES = [128 * 1024, 512 * 1024, 1024 * 1024];

const path = process.argv[2] ?? process.execPath;
const sampleBytes = Number(process.argv[3] ?? 128) * 1024 * 1024;
const repeats = Number(process.argv[4] ?? 5);
const workers = availableParallelism();

/** Non-zero blocks from the whole length of the file, as many as asked for or as there are. */
function readSample() {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  const sample = Buffer.alloc(sampleBytes);
  const piece = Buffer.alloc(READ_BYTES);
  const zero = Buffer.alloc(PAGE_BYTES);
  let filled = 0;
  const pieces = Math.floor(size / READ_BYTES);
  // A stride that shares no divisor with the count visits every piece once, in scattered order.
  let stride = Math.max(1, Math.floor(pieces * 0.618));
  while (gcd(stride, pieces) > 1) stride += 1;
  for (let index = 0; index < pieces && filled < sampleBytes; index += 1) {
    const length = readSync(file, piece, 0, READ_BYTES, ((index * stride) % pieces) * READ_BYTES);
    for (let at = 0; at + PAGE_BYTES <= length && filled < sampleBytes; at += PAGE_BYTES) {
      const page = piece.subarray(at, at + PAGE_BYTES);
      if (page.equals(zero)) continue;
      page.copy(sample, filled);
      filled += PAGE_BYTES;
    }
  }
  closeSync(file);
  return sample.subarray(0, filled);
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const speed = (bytes, seconds) => Math.round(bytes / 1e6 / seconds);

/** Runs the work over all items, so many at a time; seconds that it took. */
async function timed(items, lanes, work) {
  let next = 0;
  const from = performance.now();
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index], index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (performance.now() - from) / 1_000;
}

function batchesOf(sample, batchBytes) {
  const batches = [];
  for (let at = 0; at + batchBytes <= sample.length; at += batchBytes)
    batches.push(sample.subarray(at, at + batchBytes));
  return batches;
}

async function measure(codec, batches, level) {
  const rawBytes = batches.length * batches[0].length;
  const runs = { one: [], all: [], back: [] };
  let packed = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    packed = [];
    runs.one.push(
      await timed(batches, 1, async (batch, index) => (packed[index] = await codec.compress(batch, level))),
    );
    runs.all.push(await timed(batches, workers, (batch) => codec.compress(batch, level)));
    runs.back.push(
      await timed(packed, 1, async (bytes, index) => {
        const raw = await codec.decompress(bytes, batches[index].length);
        if (repeat === 0 && Buffer.compare(raw, batches[index]) !== 0)
          throw new Error('The batch was not rebuilt.');
      }),
    );
  }
  const packedBytes = packed.reduce((sum, bytes) => sum + bytes.length, 0);
  const show = (seconds) =>
    `${String(speed(rawBytes, median(seconds))).padStart(5)} MB/s (${seconds.map((took) => speed(rawBytes, took)).join(' ')})`;
  console.log(
    `${String(batches[0].length / 1024).padStart(5)} KiB  zstd ${String(level).padStart(2)}  ` +
      `${(rawBytes / packedBytes).toFixed(3)}x  compress ${show(runs.one)}, ${workers} at once ${show(runs.all)}, ` +
      `decompress ${show(runs.back)}`,
  );
}

/** Batches one after the other on one stream, as an agent sends them; each run begins a new one. */
async function measureStream(codec, batches, level) {
  const rawBytes = batches.length * batches[0].length;
  const runs = { one: [], back: [] };
  let packedBytes = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const compressor = codec.compressor(25);
    const decompressor = codec.decompressor();
    const packed = [];
    runs.one.push(
      await timed(batches, 1, async (batch) => packed.push((await compressor.compress(batch, level)).bytes)),
    );
    runs.back.push(
      await timed(packed, 1, async (bytes, index) => {
        const raw = await decompressor.decompress(bytes, batches[index].length);
        if (repeat === 0 && Buffer.compare(raw, batches[index]) !== 0)
          throw new Error('The batch was not rebuilt.');
      }),
    );
    compressor.close();
    decompressor.close();
    packedBytes = packed.reduce((sum, bytes) => sum + bytes.length, 0);
  }
  const show = (seconds) =>
    `${String(speed(rawBytes, median(seconds))).padStart(5)} MB/s (${seconds.map((took) => speed(rawBytes, took)).join(' ')})`;
  console.log(
    `${String(batches[0].length / 1024).padStart(5)} KiB  zstd ${String(level).padStart(2)}  ` +
      `${(rawBytes / packedBytes).toFixed(3)}x  compress ${show(runs.one)}, decompress ${show(runs.back)}`,
  );
}

function measurePeer(sample) {
  let version;
  try {
    version = execFileSync('zstd', ['--version'], { encoding: 'utf8' }).trim();
  } catch (error) {
    console.log(`No peer: there is no zstd program here (${error.code ?? error.message}).`);
    return;
  }
  console.log(`Peer: ${version}; best of its runs, one thread`);
  const folder = mkdtempSync(join(tmpdir(), 'compression-bench-'));
  try {
    const file = join(folder, 'sample');
    writeFileSync(file, sample);
    for (const batchBytes of BATCH_BYTES)
      for (const level of ZSTD_LEVELS) {
        const speedArgument = level < 0 ? [`--fast=${-level}`, '-b'] : [`-b${level}`];
        const output = execFileSync('zstd', ['-q', ...speedArgument, '-i2', `-B${batchBytes}`, file], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const line = output.split(/[\r\n]+/).findLast((text) => text.trim() !== '') ?? 'said nothing';
        console.log(`${String(batchBytes / 1024).padStart(5)} KiB  ${line.trim()}`);
      }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const codec = availableCodecs().find(({ id }) => id === CODEC_ID.zstd);
const sample = readSample();
if (sample.length < BATCH_BYTES.at(-1)) throw new Error(`${path} holds too few blocks that are not zero.`);
console.log(
  `${new Date().toISOString()}  ${cpus()[0]?.model ?? 'unknown processor'}, ${workers} processors, Node ${process.version}`,
);
console.log(
  `${(sample.length / 1e6).toFixed(0)} MB, ${sampledBitsPerByte(sample).toFixed(2)} bits per byte in a sample`,
);
if (codec) {
  console.log(`Codec: ${codec.name}`);
  for (const batchBytes of BATCH_BYTES)
    for (const level of ZSTD_LEVELS) await measure(codec, batchesOf(sample, batchBytes), level);
} else console.log('This Node has no zstd: everything goes stored.');
const stream = availableCodecs().find(({ id }) => id === CODEC_ID.zstdStream);
if (stream) {
  console.log(`Codec: ${stream.name}`);
  for (const batchBytes of BATCH_BYTES)
    for (const level of ZSTD_LEVELS) await measureStream(stream, batchesOf(sample, batchBytes), level);
} else console.log('The system has no zstd: batches are compressed by themselves.');
measurePeer(sample);
