/*
 * Throughput of the encoder and the decoder per second of processor time: MB/s of migration stream, and of guest memory
 * where zero pages weigh little in the stream. Build first (`npx nx build migration-core`), then
 *   node bench/stream-throughput.cjs [repeats] [capture-file]
 * Prints every run and the median; nothing is compressed. Beside them stand the bare costs that no codec of this shape can avoid.
 */
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');

const {
  crc32c,
  emptyMirror,
  FrameReader,
  frameOf,
  FrameWriter,
  MIRROR_PAGES_MAX,
  StreamDecoder,
  StreamEncoder,
} = require('../dist');
const { contentOf, storedRecordOf } = require('../dist/record-framing');
const { SeededChance } = require('../dist/testing/seeded-chance');
const { StreamWriter } = require('../dist/testing/stream-writer');

const PAGE_BYTES = 4_096;
const CHUNK_BYTES = 64 * 1024;

/** Pages in turn as `kindOf` says: 'raw', 'zero' (said by QEMU) or 'blank' (a page that holds zeros). */
function stream(pageCount, kindOf) {
  const pages = new SeededChance(1).bytes(1_024 * PAGE_BYTES);
  const blank = new Uint8Array(PAGE_BYTES);
  const writer = new StreamWriter()
    .header()
    .memoryBegin([{ name: 'pc.ram', bytes: pageCount * PAGE_BYTES }])
    .part();
  for (let index = 0; index < pageCount; index += 1) {
    const kind = kindOf(index);
    if (kind === 'zero') writer.zeroPage('pc.ram', index);
    else if (kind === 'blank') writer.page('pc.ram', index, blank);
    else
      writer.page(
        'pc.ram',
        index,
        pages.subarray((index % 1_024) * PAGE_BYTES, ((index % 1_024) + 1) * PAGE_BYTES),
      );
    if (index % 3_000 === 2_999) writer.sectionEnd().part();
  }
  return writer.sectionEnd().bytes();
}

/** Processor time, collector included: a busy machine changes it little. */
const seconds = (work) => {
  const from = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
};
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const megabytes = (bytes, took) => Math.round(bytes / 1e6 / took);

function chunksOf(bytes) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

function measure(name, bytes, repeats, isMirrored = false) {
  const chunks = chunksOf(bytes);
  const encodeSeconds = [];
  const decodeSeconds = [];
  let summary;
  let wireBytes = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    let frames = [];
    encodeSeconds.push(
      seconds(() => {
        const writer = new FrameWriter(1);
        const encoder = new StreamEncoder((record) => frames.push(frameOf(writer, contentOf(record))), {
          startMirror: (layout) =>
            isMirrored ? { mirror: emptyMirror(layout, MIRROR_PAGES_MAX), generation: 0 } : null,
        });
        for (const chunk of chunks) encoder.push(chunk);
        summary = encoder.end();
      }),
    );
    const wire = Buffer.concat(frames);
    wireBytes = wire.length;
    const link = chunksOf(wire);
    frames = null;
    decodeSeconds.push(
      seconds(() => {
        const decoder = new StreamDecoder(() => undefined);
        const reader = new FrameReader((frame) => decoder.apply(storedRecordOf(frame)));
        for (const chunk of link) reader.push(chunk);
        if (decoder.end().sha256 !== summary.sha256) throw new Error('The stream was not rebuilt.');
      }),
    );
  }
  const memory = summary.pages * PAGE_BYTES;
  for (const [what, runs] of [
    ['encode', encodeSeconds],
    ['decode', decodeSeconds],
  ])
    console.log(
      `${name.padEnd(22)} ${what}  ${String(megabytes(bytes.length, median(runs))).padStart(6)} MB/s of stream, ` +
        `${String(megabytes(memory, median(runs))).padStart(6)} MB/s of memory   ` +
        `runs ${runs.map((took) => megabytes(bytes.length, took)).join(' ')}`,
    );
  console.log(
    `${''.padEnd(22)} ${(bytes.length / 1e6).toFixed(1)} MB of stream, ${(wireBytes / 1e6).toFixed(1)} MB of ` +
      `frames, ${summary.zeroPages} of ${summary.pages} pages zero`,
  );
}

function measureBare(repeats) {
  const bytes = Buffer.from(new SeededChance(2).bytes(256 * 1024));
  const bare = (name, work) => {
    const runs = Array.from({ length: repeats }, () =>
      seconds(() => {
        for (let n = 0; n < 400; n += 1) work();
      }),
    );
    console.log(
      `${name.padEnd(22)} bare    ${String(megabytes(400 * bytes.length, median(runs))).padStart(6)} MB/s`,
    );
  };
  bare('CRC-32C', () => crc32c(bytes));
  bare('SHA-256', () => createHash('sha256').update(bytes).digest());
  bare('copy', () => Buffer.alloc(bytes.length).set(bytes));
}

const repeats = Number(process.argv[2] ?? 5);
measureBare(repeats);
measure(
  'random pages',
  stream(60_000, () => 'raw'),
  repeats,
);
measure(
  'half zero, in runs',
  stream(120_000, (index) => (index % 128 < 64 ? 'zero' : 'raw')),
  repeats,
);
measure(
  'zero, as QEMU says',
  stream(4_000_000, () => 'zero'),
  repeats,
);
measure(
  'blank pages',
  stream(60_000, () => 'blank'),
  repeats,
);
measure(
  'zero and raw by turns',
  stream(120_000, (index) => (index % 2 === 0 ? 'zero' : 'raw')),
  repeats,
);
if (process.argv[3]) measure('capture', readFileSync(process.argv[3]), repeats);
measure(
  'random, with mirror',
  stream(60_000, () => 'raw'),
  repeats,
  true,
);
