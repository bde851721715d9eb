import { bootRecord } from './boot-record';

const MIB = 1024 * 1024;

function bootImage(): Buffer {
  const image = Buffer.alloc(512, 0xeb);
  image.writeUInt16LE(0xaa55, 0x1fe);
  return image;
}

function coreImage(sectors: number): Buffer {
  const image = Buffer.alloc(sectors * 512 - 100, 0xcc);
  image.writeUInt16LE(sectors - 1, 0x1fc);
  image.writeUInt16LE(0x820, 0x1fe);
  return image;
}

const request = (more: Partial<Parameters<typeof bootRecord>[0]> = {}) => ({
  bootImage: bootImage(),
  coreImage: coreImage(60),
  diskBytes: 64 * MIB,
  partitionOffsetBytes: MIB,
  diskSignature: 0x12345678,
  ...more,
});

describe('the boot record', () => {
  it('points from the boot sector to the core image and from its first sector to the rest', () => {
    const record = bootRecord(request());
    expect(record.readBigUInt64LE(0x5c)).toBe(1n);
    expect(record.readBigUInt64LE(512 + 0x1f4)).toBe(2n);
    expect(record.subarray(1024, 1040)).toEqual(Buffer.alloc(16, 0xcc));
    expect(record).toHaveLength(61 * 512);
  });

  it('boots from the drive that the BIOS started, as a hard disk', () => {
    const record = bootRecord(request());
    expect(record[0x64]).toBe(0xff);
    expect([record[0x66], record[0x67]]).toEqual([0x90, 0x90]);
  });

  it('has one active Linux partition up to the end of the disk, and no leftovers of the floppy code', () => {
    const record = bootRecord(request());
    expect(record.readUInt32LE(0x1b8)).toBe(0x12345678);
    expect(record[0x1be]).toBe(0x80);
    expect(record[0x1be + 4]).toBe(0x83);
    expect(record.readUInt32LE(0x1be + 8)).toBe(2048);
    expect(record.readUInt32LE(0x1be + 12)).toBe(63 * 2048);
    expect(record.subarray(0x1ce, 0x1fe)).toEqual(Buffer.alloc(48));
    expect(record.readUInt16LE(0x1fe)).toBe(0xaa55);
  });

  it('refuses a core image that would reach into the partition', () => {
    expect(() => bootRecord(request({ coreImage: coreImage(2048) }))).toThrow(
      expect.objectContaining({ code: 'PHYSICAL_SERVER_BOOT_IMAGE_INVALID' }),
    );
    expect(() => bootRecord(request({ coreImage: coreImage(2047) }))).not.toThrow();
  });

  it('refuses a core image that was cut off', () => {
    expect(() => bootRecord(request({ coreImage: coreImage(60).subarray(0, 20 * 512) }))).toThrow(/length/);
  });

  it('refuses what is no boot sector', () => {
    expect(() => bootRecord(request({ bootImage: Buffer.alloc(512) }))).toThrow(/boot sector/);
    expect(() => bootRecord(request({ bootImage: bootImage().subarray(1) }))).toThrow(/boot sector/);
  });
});
