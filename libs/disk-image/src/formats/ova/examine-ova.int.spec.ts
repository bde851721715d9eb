import { mkdir, readFile, readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { examineImage } from '../examine-image';
import { type Member, ovfOf, sampleArchive } from '../testing/sample-archives';
import { SampleSet, patch } from '../testing/sample-images';
import { unpackImage } from '../unpack-image';
import { formatManifest } from './manifest';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make(['vmdk-stream']);
}, 120_000);

afterAll(() => samples.close());

const archive = (members: readonly Member[]): Promise<string> => sampleArchive(samples.newPath(), members);
const vmdk = (): Promise<Buffer> => readFile(samples.pathOf('vmdk-stream'));

async function newFolder(): Promise<string> {
  const folder = samples.newPath();
  await mkdir(folder);
  return folder;
}

describe('an OVA that would lead astray', () => {
  const sizes = async (members: (content: Buffer) => readonly Member[]): Promise<string> =>
    archive(members(await vmdk()));

  it.each([
    ['holds no descriptor', 'DISK_FORMAT_UNSUPPORTED', (c: Buffer) => [{ name: 'disk.vmdk', content: c }]],
    ['lacks the disk', 'DISK_TRUNCATED', () => [ovfOf(samples.disk.sizeBytes)]],
    [
      'names a host file',
      'DISK_TRUNCATED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes, 'ovf:href="file:///etc/passwd"'),
        { name: 'disk.vmdk', content: c },
      ],
    ],
    [
      'holds a path',
      'DISK_HAS_BACKING_FILE',
      (c: Buffer) => [ovfOf(samples.disk.sizeBytes), { name: '../disk.vmdk', content: c }],
    ],
    [
      'holds a file twice',
      'DISK_DAMAGED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes),
        { name: 'disk.vmdk', content: c },
        { name: 'disk.vmdk', content: c },
      ],
    ],
    [
      'says that its disk is smaller',
      'DISK_DAMAGED',
      (c: Buffer) => [ovfOf(512), { name: 'disk.vmdk', content: c }],
    ],
    [
      'says that its disk is huge',
      'DISK_TOO_LARGE',
      (c: Buffer) => [
        ovfOf(1, undefined, 'ovf:capacityAllocationUnits="byte * 2^62"'),
        { name: 'disk.vmdk', content: c },
      ],
    ],
    [
      'holds a disk that is a snapshot',
      'DISK_FORMAT_UNSUPPORTED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes, undefined, 'ovf:parentRef="other"'),
        { name: 'disk.vmdk', content: c },
      ],
    ],
    [
      'holds a disk in chunks',
      'DISK_FORMAT_UNSUPPORTED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes, 'ovf:href="disk.vmdk" ovf:chunkSize="1000"'),
        { name: 'disk.vmdk', content: c },
      ],
    ],
    [
      'holds a disk in another format',
      'DISK_FORMAT_UNSUPPORTED',
      () => [ovfOf(samples.disk.sizeBytes), { name: 'disk.vmdk', content: Buffer.alloc(4096, 1) }],
    ],
    [
      'holds a disk that is cut off',
      'DISK_TRUNCATED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes),
        { name: 'disk.vmdk', content: c.subarray(0, c.length / 2) },
      ],
    ],
    [
      'has a manifest of other bytes',
      'DISK_DAMAGED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes),
        { name: 'disk.vmdk', content: c },
        {
          name: 'machine.mf',
          content: Buffer.from(
            formatManifest(['machine.ovf', 'disk.vmdk'].map((name) => ({ name, sha256: '0'.repeat(64) }))),
          ),
        },
      ],
    ],
    [
      'has a manifest that leaves the disk out',
      'DISK_FORMAT_UNSUPPORTED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes),
        { name: 'disk.vmdk', content: c },
        { name: 'machine.mf', content: Buffer.from('') },
      ],
    ],
    [
      'has a manifest of files that are not there',
      'DISK_TRUNCATED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes),
        { name: 'disk.vmdk', content: c },
        {
          name: 'machine.mf',
          content: Buffer.from(formatManifest([{ name: 'more', sha256: '0'.repeat(64) }])),
        },
      ],
    ],
    [
      'says gzip of what is not packed',
      'DISK_DAMAGED',
      (c: Buffer) => [
        ovfOf(samples.disk.sizeBytes, 'ovf:href="disk.vmdk" ovf:compression="gzip"'),
        { name: 'disk.vmdk', content: c },
      ],
    ],
  ] as const)('is refused when it %s', async (_what, code, members) =>
    expect(examineImage(await sizes(members))).rejects.toMatchObject({ code }),
  );

  it('asks which disk of several is meant', async () => {
    const content = await vmdk();
    const two = ovfOf(samples.disk.sizeBytes);
    const text = two.content
      .toString()
      .replace('</References>', '<File ovf:id="file2" ovf:href="disk2.vmdk"/></References>')
      .replace(
        '</DiskSection>',
        `<Disk ovf:diskId="vmdisk2" ovf:fileRef="file2" ovf:capacity="${samples.disk.sizeBytes}" ovf:format="vmdk"/></DiskSection>`,
      );
    const path = await archive([
      { name: 'machine.ovf', content: Buffer.from(text) },
      { name: 'disk.vmdk', content },
      { name: 'disk2.vmdk', content },
    ]);
    await expect(examineImage(path)).rejects.toThrow('"vmdisk1", "vmdisk2"');
    expect(await examineImage(path, { diskId: 'vmdisk2' })).toMatchObject({
      virtualBytes: samples.disk.sizeBytes,
    });
    await expect(examineImage(path, { diskId: 'other' })).rejects.toMatchObject({
      code: 'DISK_FORMAT_UNSUPPORTED',
    });
  });

  it('is refused when it ends within a member, or has a header that is changed', async () => {
    const path = await sizes((content) => [ovfOf(samples.disk.sizeBytes), { name: 'disk.vmdk', content }]);
    await patch(path, 124, Buffer.from('7777'));
    await expect(examineImage(path, { format: 'ova' })).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    const other = await sizes((content) => [ovfOf(samples.disk.sizeBytes), { name: 'disk.vmdk', content }]);
    await truncate(other, 100_000);
    await expect(examineImage(other)).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
  });

  it('is ended when its packed disk is a bomb, and nothing is left', async () => {
    const bomb = Buffer.concat([await vmdk(), Buffer.alloc(120 * 1024 * 1024)]);
    const path = await archive([
      ovfOf(samples.disk.sizeBytes, 'ovf:href="disk.vmdk" ovf:compression="gzip"'),
      { name: 'disk.vmdk', content: gzipSync(bomb) },
    ]);
    const target = await newFolder();
    const examination = await examineImage(path);
    const failure = unpackImage({
      examination,
      targetPath: join(target, 'target.raw'),
      tools: samples.tools,
    });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
    await expect(failure).rejects.toThrow('unpacks to more than');
    expect(await readdir(target)).toEqual([]);
  });

  it('is refused when its packed disk is cut off, once it is unpacked', async () => {
    const packed = gzipSync(await vmdk());
    const path = await archive([
      ovfOf(samples.disk.sizeBytes, 'ovf:href="disk.vmdk" ovf:compression="gzip"'),
      { name: 'disk.vmdk', content: packed.subarray(0, packed.length - 100) },
    ]);
    const target = await newFolder();
    const examination = await examineImage(path);
    const failure = unpackImage({
      examination,
      targetPath: join(target, 'target.raw'),
      tools: samples.tools,
    });
    await expect(failure).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
    expect(await readdir(target)).toEqual([]);
  });
});
