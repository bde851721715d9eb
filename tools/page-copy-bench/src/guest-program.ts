/*
 * The workload guest, assembled from ../guest/workload-guest.S. It loads an image of its memory from its disk, then a
 * hundred times a second writes into pages of a ring chosen at random, sums some of the memory that must not change,
 * and tells on COM1 how often it did.
 */
const PROGRAM =
  'fa31c08ed88ec08ed0bc007cfbea127c00008816587cc7064a7c0700c7064c7c007e66c706507c01000000e80300e9cf' +
  '01be487c8a16587cb442cd137201c3baf803b045eef4ebf7100000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000' +
  '00000000000000000000000000000000000000000000000000000000000055aa66a1048b66a3507cc7064a7c4000c706' +
  '4c7c0000c7064e7c0010e814fe66a1a07ea38a7e66c1e810a28c7e88268f7eb90040be707eb487cd150f8202fe668106' +
  'a07e00800000668306507c4066ff0e008b75c7fae4920c02e692660f0116bc7e0f20c00c010f22c066eac87e00000800' +
  '00000000000000000000000000000000ffff000001930000ffff00000093000000000000000000000000000000000000' +
  '000020000000000000000000ffff0000009acf00ffff00000092cf001700a47e000007010060000066b810008ed88ec0' +
  '8ed0bc00700000bf0060000031c0b942000000f3abb8ed80000066a30061000066c70502610000080066c70504610000' +
  '008ec1e81066a3066100000f011dc27e0000b011e620b020e621b004e621b001e621b0fee621b0ffe6a1b034e643a118' +
  '8b0000e64088e0e640fbf4ff05f88000008b2d108b000085ed0f848a000000e877010000f725088b000089d3c1e20c8b' +
  '3d0c8b000001d7833d148b000000754ee85601000089c689d8c1e00825000f000001c7a1fc8000008907a1f880000089' +
  '4704ff4708895f0c83c710b904000000e826010000ab4975f781e6f0ff000081c600002000b938000000f3a5eb0eb900' +
  '040000e803010000ab4975f7ff05fc8000004d0f8576ffffff8b2d1c8b000085ed745c8b3500810000c1e60c81c60000' +
  '2000a104810000b900040000030683c6044975f8a304810000ff05008100008b0d008100003b0d208b0000721fa30881' +
  '0000ff050c810000c7050081000000000000c70504810000000000004d75a4f605f88000001f0f85eefeffffb34ea1f8' +
  '800000e830000000b357a1fc800000e824000000b350a10c810000e818000000b353a108810000e80c000000b30ae837' +
  '000000e9b2feffff50e82c000000b33de82500000058b908000000c1c00488c380e30f80c33080fb39760380c32750e8' +
  '06000000584975e3b32066bafd03eca82074fb88d866baf803eec352a1f480000089c2c1e20d31d089c2c1ea1131d089' +
  'c2c1e20531d0a3f48000005ac350b020e62058cfb979379e000000000000000000000000000000000000000000000000';

const PROGRAM_BYTES = 4_096;
const PARAMETERS_AT = 0xf00;
const SECTOR_BYTES = 512;
export const CHUNK_BYTES = 32_768;
/** Where the image begins on the disk, and in the guest's memory. */
export const IMAGE_DISK_OFFSET_BYTES = 1024 * 1024;
export const IMAGE_ADDRESS = 2 * 1024 * 1024;
/** The timer counts down from this 1 193 182 times a second: a hundred ticks. */
const DIVISOR = 11_932;
export const TICKS_PER_SECOND = 100;

export interface GuestProgram {
  /** Of the image that is loaded to `IMAGE_ADDRESS`; a multiple of `CHUNK_BYTES`. */
  readonly imageBytes: number;
  /** The image's first pages, which the guest never writes and keeps summing. */
  readonly staticPages: number;
  /** The pages that it writes follow right after those. */
  readonly hotPages: number;
  readonly writesPerTick: number;
  /** A write is a whole page of noise, or a record of 256 bytes. */
  readonly writesWholePages: boolean;
  readonly sumPagesPerTick: number;
}

/** The first sectors of the guest's disk. Throws a RangeError when the program cannot run so. */
export function guestProgram(guest: GuestProgram): Buffer {
  if (guest.imageBytes % CHUNK_BYTES !== 0 || guest.imageBytes === 0)
    throw new RangeError(`An image of ${guest.imageBytes} bytes is not whole chunks of ${CHUNK_BYTES}.`);
  const sectors = Buffer.alloc(PROGRAM_BYTES);
  sectors.set(Buffer.from(PROGRAM, 'hex'));
  [
    guest.imageBytes / CHUNK_BYTES,
    IMAGE_DISK_OFFSET_BYTES / SECTOR_BYTES,
    guest.hotPages,
    IMAGE_ADDRESS + guest.staticPages * 4_096,
    guest.writesPerTick,
    guest.writesWholePages ? 1 : 0,
    DIVISOR,
    guest.sumPagesPerTick,
    guest.staticPages,
  ].forEach((value, index) => sectors.writeUInt32LE(value, PARAMETERS_AT + 4 * index));
  return sectors;
}

export interface GuestReport {
  readonly ticks: number;
  readonly writes: number;
  /** Passes over the static pages, and the sum of their words in the last one. */
  readonly passes: number;
  readonly sum: number;
}

/** The complete lines on the guest's console, oldest first. */
export function readReports(console: string): GuestReport[] {
  return [...console.matchAll(/N=([0-9a-f]{8}) W=([0-9a-f]{8}) P=([0-9a-f]{8}) S=([0-9a-f]{8}) \n/g)].map(
    ([, ticks, writes, passes, sum]) => ({
      ticks: Number.parseInt(ticks!, 16),
      writes: Number.parseInt(writes!, 16),
      passes: Number.parseInt(passes!, 16),
      sum: Number.parseInt(sum!, 16),
    }),
  );
}
