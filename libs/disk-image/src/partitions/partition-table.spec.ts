import { bytesOf } from '../image/byte-source';
import { bootRecord, diskOf, gptDisk, randomFrom } from '../testing/synthetic-disks';
import { readPartitionTable } from './partition-table';

const LINUX_GUID = Buffer.from('af3dc60f838472478e793d69d8477de4', 'hex');
const tableOf = (disk: Buffer) => readPartitionTable(bytesOf(disk));

describe('partition table', () => {
  it('reads primary and logical partitions of an MBR', async () => {
    const disk = diskOf(4096, {
      0: bootRecord([
        { type: 0x83, firstSector: 64, sectors: 128 },
        { type: 0x05, firstSector: 1024, sectors: 2048 },
      ]),
      1024: bootRecord([
        { type: 0x82, firstSector: 8, sectors: 64 },
        { type: 0x05, firstSector: 512, sectors: 512 },
      ]),
      1536: bootRecord([{ type: 0x83, firstSector: 16, sectors: 100 }]),
    });
    const { kind, partitions } = await tableOf(disk);
    expect(kind).toBe('mbr');
    expect(partitions).toEqual([
      { number: 1, startBytes: 64 * 512, sizeBytes: 128 * 512, type: '83', partUuid: 'cafe0001-01' },
      { number: 5, startBytes: 1032 * 512, sizeBytes: 64 * 512, type: '82', partUuid: 'cafe0001-05' },
      { number: 6, startBytes: 1552 * 512, sizeBytes: 100 * 512, type: '83', partUuid: 'cafe0001-06' },
    ]);
  });

  it('refuses logical partitions that run in a circle', async () => {
    const link = { type: 0x05, firstSector: 0, sectors: 2048 };
    const disk = diskOf(4096, {
      0: bootRecord([{ type: 0x05, firstSector: 1024, sectors: 2048 }]),
      1024: bootRecord([{ type: 0x83, firstSector: 8, sectors: 8 }, link]),
    });
    await expect(tableOf(disk)).rejects.toMatchObject({ code: 'DISK_PARTITION_TABLE_DAMAGED' });
  });

  it('refuses a chain of more logical partitions than Linux has names for', async () => {
    const chain: Record<number, Buffer> = {
      0: bootRecord([{ type: 0x05, firstSector: 100, sectors: 3000 }]),
    };
    for (let index = 0; index < 100; index++)
      chain[100 + index * 2] = bootRecord([
        { type: 0x83, firstSector: 1, sectors: 1 },
        { type: 0x05, firstSector: (index + 1) * 2, sectors: 2 },
      ]);
    await expect(tableOf(diskOf(4096, chain))).rejects.toMatchObject({
      code: 'DISK_PARTITION_TABLE_DAMAGED',
    });
  });

  it('says that a disk is cut off when a partition ends behind it', async () => {
    const disk = diskOf(128, { 0: bootRecord([{ type: 0x83, firstSector: 64, sectors: 4096 }]) });
    await expect(tableOf(disk)).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
  });

  it('reads a GPT', async () => {
    const disk = gptDisk(2048, [{ typeGuid: LINUX_GUID, firstSector: 64, lastSector: 163 }]);
    const { kind, partitions } = await tableOf(disk);
    expect(kind).toBe('gpt');
    expect(partitions).toMatchObject([
      { number: 1, startBytes: 64 * 512, sizeBytes: 100 * 512, type: '0fc63daf-8483-4772-8e79-3d69d8477de4' },
    ]);
  });

  it('uses the copy at the end when the front of a GPT does not match its checksum', async () => {
    const disk = gptDisk(2048, [{ typeGuid: LINUX_GUID, firstSector: 64, lastSector: 163 }]);
    disk.writeUInt8(0xff, 512 + 60);
    expect((await tableOf(disk)).partitions).toHaveLength(1);
    disk.writeUInt8(0xff, 2047 * 512 + 60);
    await expect(tableOf(disk)).rejects.toMatchObject({ code: 'DISK_PARTITION_TABLE_DAMAGED' });
  });

  it('says that a disk is cut off when the copy of its GPT is not there', async () => {
    const disk = gptDisk(2048, [{ typeGuid: LINUX_GUID, firstSector: 64, lastSector: 163 }]);
    await expect(tableOf(disk.subarray(0, 1000 * 512))).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
  });

  it('says that a blank disk is no image', () =>
    expect(tableOf(Buffer.alloc(1024 * 1024))).rejects.toMatchObject({ code: 'DISK_NOT_AN_IMAGE' }));

  it('ends with a table or a coded error on any header', async () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const seeds = [
      gptDisk(1024, [{ typeGuid: LINUX_GUID, firstSector: 64, lastSector: 163 }]),
      diskOf(1024, {
        0: bootRecord([{ type: 0x05, firstSector: 64, sectors: 512 }]),
        64: bootRecord([
          { type: 0x83, firstSector: 8, sectors: 8 },
          { type: 0x05, firstSector: 100, sectors: 8 },
        ]),
      }),
    ];
    for (let round = 0; round < 2000; round++) {
      const disk = Buffer.from(seeds[round % seeds.length] ?? Buffer.alloc(0));
      for (let change = 0; change < 1 + random() * 12; change++)
        disk[Math.floor(random() * (random() < 0.8 ? 1024 : 40_000))] = Math.floor(random() * 256);
      const outcome = await tableOf(disk).catch(
        (error: { code?: string }) => error.code ?? `round ${round}: ${String(error)}`,
      );
      if (typeof outcome === 'string' && !/^DISK_/.test(outcome)) throw new Error(`seed ${seed}, ${outcome}`);
    }
  });
});
