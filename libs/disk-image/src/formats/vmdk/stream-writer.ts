import { randomBytes, randomInt } from 'node:crypto';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { SECTOR_BYTES } from '../refusals';

/*
 * VMware, "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents". Written front to back, since
 * it is made to be read so; only the footer says where the directory is:
 *
 *   header  descriptor  ( grain … grain  table )…  directory  footer  end of stream
 *
 * Grains that are zeros are left out; each other one is a marker of 12 bytes with its deflated bytes.
 */
export interface VmdkStreamOptions {
  readonly virtualBytes: number;
  /** The file's own name, for its descriptor. */
  readonly name: string;
  readonly adapter: VmdkAdapter;
  /** Of deflate, 1 to 9. */
  readonly level: number;
  /** Bytes of the disk, whole grains in order; stretches that are left out are zeros. */
  readonly pieces: AsyncIterable<DiskPiece>;
}

export interface DiskPiece {
  readonly offset: number;
  /** As long as several grains, or up to the end of the disk. Not changed any more once it is given. */
  readonly bytes: Buffer;
}

export type VmdkAdapter = 'ide' | 'lsilogic' | 'buslogic';

export const GRAIN_BYTES = 65536;
const GRAIN_SECTORS = GRAIN_BYTES / SECTOR_BYTES;
const TABLE_ENTRIES = 512;
const TABLE_SECTORS = (TABLE_ENTRIES * 4) / SECTOR_BYTES;
const DESCRIPTOR_SECTORS = 20;
/** Data begin at a whole grain. */
const OVERHEAD_SECTORS = GRAIN_SECTORS;
const DIRECTORY_AT_END = 0xffffffffffffffffn;
const MARKER = { endOfStream: 0, table: 1, directory: 2, footer: 3 } as const;
const FLAGS = 1 | (1 << 16) | (1 << 17);
const SECTORS_MAX = 0xffffffff;
/** Pieces that are deflated while earlier ones are written. */
const PIECES_AHEAD = 2;

const squeeze = promisify(deflate) as (bytes: Buffer, options: { level: number }) => Promise<Buffer>;

/** The bytes of a streamOptimized VMDK, in order. Its grains are deflated on several threads. */
export async function* vmdkStream(options: VmdkStreamOptions): AsyncGenerator<Buffer, void> {
  const writer = new StreamLayout(options);
  yield writer.front();
  for await (const grains of ahead(options.pieces, (piece) => deflatePiece(piece, options.level)))
    for (const grain of grains) yield* writer.grain(grain);
  yield* writer.end();
}

interface DeflatedGrain {
  readonly index: number;
  readonly bytes: Buffer;
}

async function deflatePiece({ offset, bytes }: DiskPiece, level: number): Promise<DeflatedGrain[]> {
  if (offset % GRAIN_BYTES !== 0) throw new RangeError(`A piece at ${offset} does not begin at a grain.`);
  const grains: Promise<DeflatedGrain>[] = [];
  for (let at = 0; at < bytes.length; at += GRAIN_BYTES) {
    const grain = wholeGrain(bytes.subarray(at, at + GRAIN_BYTES));
    if (isZero(grain)) continue;
    const index = (offset + at) / GRAIN_BYTES;
    grains.push(squeeze(grain, { level }).then((deflated) => ({ index, bytes: deflated })));
  }
  return Promise.all(grains);
}

/** The end of a disk may be in the middle of a grain, which is written whole. */
function wholeGrain(bytes: Buffer): Buffer {
  if (bytes.length === GRAIN_BYTES) return bytes;
  const whole = Buffer.alloc(GRAIN_BYTES);
  bytes.copy(whole);
  return whole;
}

const ZEROS = Buffer.alloc(GRAIN_BYTES);
const isZero = (bytes: Buffer): boolean => bytes.equals(ZEROS);

/** Works on items before their turn; what comes out is in order. */
async function* ahead<Item, Result>(
  items: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = [];
  for await (const item of items) {
    const result = work(item);
    // Until its turn comes nobody waits for it; it is thrown then.
    result.catch(() => undefined);
    running.push(result);
    if (running.length > PIECES_AHEAD) yield (await running.shift()) as Result;
  }
  for (const result of running) yield await result;
}

class StreamLayout {
  private sector = OVERHEAD_SECTORS;
  private readonly directory: Uint32Array;
  private table = new Uint32Array(TABLE_ENTRIES);
  private tableIndex = 0;
  private isTableUsed = false;

  constructor(private readonly options: VmdkStreamOptions) {
    const grains = Math.ceil(options.virtualBytes / GRAIN_BYTES);
    this.directory = new Uint32Array(Math.ceil(grains / TABLE_ENTRIES));
  }

  front(): Buffer {
    const front = Buffer.alloc(OVERHEAD_SECTORS * SECTOR_BYTES);
    this.header(DIRECTORY_AT_END).copy(front);
    const text = Buffer.from(descriptorOf(this.options));
    if (text.length > DESCRIPTOR_SECTORS * SECTOR_BYTES) throw new RangeError('The name is too long.');
    text.copy(front, SECTOR_BYTES);
    return front;
  }

  *grain({ index, bytes }: DeflatedGrain): Generator<Buffer> {
    const tableIndex = Math.floor(index / TABLE_ENTRIES);
    if (tableIndex !== this.tableIndex) {
      yield* this.endTable();
      this.tableIndex = tableIndex;
    }
    this.table[index % TABLE_ENTRIES] = this.sector;
    this.isTableUsed = true;
    const marker = Buffer.alloc(12);
    marker.writeBigUInt64LE(BigInt(index * GRAIN_SECTORS), 0);
    marker.writeUInt32LE(bytes.length, 8);
    const lengthBytes = marker.length + bytes.length;
    const sectors = Math.ceil(lengthBytes / SECTOR_BYTES);
    yield Buffer.concat([marker, bytes], sectors * SECTOR_BYTES);
    this.pass(sectors);
  }

  *end(): Generator<Buffer> {
    yield* this.endTable();
    const directory = padded(littleEndian(this.directory));
    yield* this.metadata(MARKER.directory, directory);
    const directorySector = this.sector - directory.length / SECTOR_BYTES;
    yield* this.metadata(MARKER.footer, this.header(BigInt(directorySector)));
    yield marker(MARKER.endOfStream, 0);
  }

  private *endTable(): Generator<Buffer> {
    if (!this.isTableUsed) return;
    yield* this.metadata(MARKER.table, littleEndian(this.table));
    this.directory[this.tableIndex] = this.sector - TABLE_SECTORS;
    this.table = new Uint32Array(TABLE_ENTRIES);
    this.isTableUsed = false;
  }

  private *metadata(type: number, bytes: Buffer): Generator<Buffer> {
    const sectors = bytes.length / SECTOR_BYTES;
    yield marker(type, sectors);
    yield bytes;
    this.pass(1 + sectors);
  }

  private pass(sectors: number): void {
    this.sector += sectors;
    if (this.sector > SECTORS_MAX) throw new RangeError('A VMDK stream holds no more than 2 TiB.');
  }

  private header(directorySector: bigint): Buffer {
    const header = Buffer.alloc(SECTOR_BYTES);
    header.write('KDMV', 0, 'latin1');
    header.writeUInt32LE(3, 4);
    header.writeUInt32LE(FLAGS, 8);
    header.writeBigUInt64LE(BigInt(this.options.virtualBytes / SECTOR_BYTES), 12);
    header.writeBigUInt64LE(BigInt(GRAIN_SECTORS), 20);
    header.writeBigUInt64LE(1n, 28);
    header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), 36);
    header.writeUInt32LE(TABLE_ENTRIES, 44);
    header.writeBigUInt64LE(directorySector, 56);
    header.writeBigUInt64LE(BigInt(OVERHEAD_SECTORS), 64);
    header.write('\n \r\n', 73, 'latin1');
    header.writeUInt16LE(1, 77);
    return header;
  }
}

function marker(type: number, sectors: number): Buffer {
  const bytes = Buffer.alloc(SECTOR_BYTES);
  bytes.writeBigUInt64LE(BigInt(sectors), 0);
  bytes.writeUInt32LE(type, 12);
  return bytes;
}

function littleEndian(numbers: Uint32Array): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [index, value] of numbers.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes], Math.ceil(bytes.length / SECTOR_BYTES) * SECTOR_BYTES);
}

function descriptorOf({ virtualBytes, name, adapter }: VmdkStreamOptions): string {
  const sectors = virtualBytes / SECTOR_BYTES;
  // The last two values mean "none" and "not yet known".
  const contentId = randomInt(1, 0xfffffffe).toString(16).padStart(8, '0');
  const geometry =
    adapter === 'ide'
      ? { heads: 16, sectors: 63, cylinders: Math.min(16383, Math.floor(sectors / (16 * 63))) }
      : { heads: 255, sectors: 63, cylinders: Math.min(65535, Math.floor(sectors / (255 * 63))) };
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${contentId}`,
    'parentCID=ffffffff',
    'createType="streamOptimized"',
    '',
    '# Extent description',
    `RW ${sectors} SPARSE "${name}"`,
    '',
    '# The Disk Data Base',
    '#DDB',
    '',
    `ddb.adapterType = "${adapter}"`,
    `ddb.geometry.cylinders = "${geometry.cylinders}"`,
    `ddb.geometry.heads = "${geometry.heads}"`,
    `ddb.geometry.sectors = "${geometry.sectors}"`,
    `ddb.longContentID = "${randomBytes(12).toString('hex')}${contentId}"`,
    'ddb.virtualHWVersion = "13"',
    '',
  ].join('\n');
}
