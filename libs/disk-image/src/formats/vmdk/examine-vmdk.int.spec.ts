import { mkdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { examineImage } from '../examine-image';
import { SampleSet, patch, u32le, u64le } from '../testing/sample-images';

let samples: SampleSet;

beforeAll(async () => {
  samples = await SampleSet.make(['vmdk-flat', 'vmdk-sparse', 'vmdk-split', 'vmdk-stream']);
}, 120_000);

afterAll(() => samples.close());

describe('a VMDK that would lead astray', () => {
  const descriptor = async (lines: readonly string[], createType = 'monolithicFlat'): Promise<string> => {
    const path = await samples.copyOf('vmdk-flat');
    const head = ['# Disk DescriptorFile', 'version=1', 'CID=12345678', 'parentCID=ffffffff'];
    await writeFile(path, [...head, `createType="${createType}"`, ...lines, ''].join('\n'));
    return path;
  };

  it.each([
    '/etc/passwd',
    '../disk-flat.img',
    'folder/disk-flat.img',
    '..',
    '.hidden',
    'nbd:127.0.0.1:10809',
    'json:{}',
    'C:\\disk.vmdk',
    'disk\u0007.img',
    '',
    'x'.repeat(300),
  ])('refuses an extent called %j', async (name) => {
    const path = await descriptor([`RW 8 FLAT "${name}" 0`]);
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
  });

  it('refuses an extent that is a link, whatever it leads to', async () => {
    const path = await descriptor(['RW 8 FLAT "linked.img" 0']);
    await symlink('/etc/hostname', join(dirname(path), 'linked.img'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
  });

  it('refuses an extent that is a samples.folder, itself, or named twice', async () => {
    const path = await descriptor(['RW 8 FLAT "folder" 0']);
    await mkdir(join(dirname(path), 'folder'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
    await expect(examineImage(await descriptor(['RW 1 FLAT "disk.img" 0']))).rejects.toMatchObject({
      code: 'DISK_HAS_BACKING_FILE',
    });
    const twice = await descriptor(
      ['RW 8 FLAT "disk-flat.img" 0', 'RW 8 FLAT "disk-flat.img" 8'],
      'twoGbMaxExtentFlat',
    );
    await expect(examineImage(twice)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
  });

  it('says which extent is missing', async () => {
    const failure = examineImage(await descriptor(['RW 8 FLAT "gone.img" 0']));
    await expect(failure).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
    await expect(failure).rejects.toThrow('gone.img');
  });

  it.each([
    ['a device', 'fullDevice', 'RW 8 FLAT "disk-flat.img" 0', 'DISK_FORMAT_UNSUPPORTED'],
    ['a raw device mapping', 'vmfs', 'RW 8 VMFSRDM "disk-flat.img"', 'DISK_FORMAT_UNSUPPORTED'],
    ['an ESXi snapshot', 'vmfsSparse', 'RW 8 VMFSSPARSE "disk-flat.img"', 'DISK_FORMAT_UNSUPPORTED'],
    ['a kind that is a property of every object', 'constructor', 'RW 8 ZERO', 'DISK_FORMAT_UNSUPPORTED'],
    ['an extent past its file', 'monolithicFlat', 'RW 99999999 FLAT "disk-flat.img" 0', 'DISK_TRUNCATED'],
    ['an offset past its file', 'monolithicFlat', 'RW 8 FLAT "disk-flat.img" 99999999', 'DISK_TRUNCATED'],
    ['a disk beyond all bounds', 'twoGbMaxExtentFlat', 'RW 999999999999999 ZERO', 'DISK_TOO_LARGE'],
    ['a line that is none', 'monolithicFlat', 'RW eight FLAT "disk-flat.img" 0', 'DISK_DAMAGED'],
  ])('refuses %s', async (_what, createType, line, code) =>
    expect(examineImage(await descriptor([line], createType))).rejects.toMatchObject({ code }),
  );

  it('takes the flat disk of an ESXi datastore', async () => {
    const path = await descriptor([`RW ${samples.disk.sizeBytes / 512} VMFS "disk-flat.img"`], 'vmfs');
    expect(await examineImage(path)).toMatchObject({
      subformat: 'vmfs',
      virtualBytes: samples.disk.sizeBytes,
    });
  });

  it('refuses snapshots by either of their signs, in a descriptor of its own or in the image', async () => {
    const hint = await descriptor(['parentFileNameHint="/vm/base.vmdk"', 'RW 8 FLAT "disk-flat.img" 0']);
    await expect(examineImage(hint)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
    const path = await samples.copyOf('vmdk-sparse');
    const text = (await readFile(path)).subarray(512, 1024).toString('latin1');
    await patch(path, 512 + text.indexOf('parentCID=ffffffff'), Buffer.from('parentCID=0badcafe'));
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
  });

  it('refuses a parent that stands where readers look, but not where the header says', async () => {
    const path = await samples.copyOf('vmdk-sparse');
    const moved = (await readFile(path)).subarray(512, 512 + 20 * 512);
    const { size } = await stat(path);
    const at = Math.ceil(size / 512) * 512;
    await truncate(path, at);
    await patch(path, at, Buffer.from(moved));
    await patch(path, 28, u64le(BigInt(at / 512)));
    await patch(
      path,
      512,
      Buffer.concat([
        Buffer.from('# Disk DescriptorFile\nparentFileNameHint="/etc/passwd"\n'),
        Buffer.alloc(500),
      ]),
    );
    await expect(examineImage(path)).rejects.toMatchObject({ code: 'DISK_HAS_BACKING_FILE' });
  });

  it.each([
    ['no size', 12, u64le(0n), 'DISK_DAMAGED'],
    ['a size beyond all bounds', 12, u64le(1n << 60n), 'DISK_TOO_LARGE'],
    ['a size that its descriptor does not tell', 12, u64le(8n), 'DISK_DAMAGED'],
    ['an unknown version', 4, u32le(9), 'DISK_FORMAT_UNSUPPORTED'],
    ['grains of an odd size', 20, u64le(3n), 'DISK_DAMAGED'],
    ['huge tables', 44, u32le(1 << 20), 'DISK_DAMAGED'],
    ['a directory past its end', 56, u64le(1n << 40n), 'DISK_TRUNCATED'],
    ['a directory beyond 2^53', 56, u64le(1n << 62n), 'DISK_TRUNCATED'],
    ['a descriptor past its end', 28, u64le(1n << 40n), 'DISK_TRUNCATED'],
    ['a huge descriptor', 36, u64le(1n << 30n), 'DISK_DAMAGED'],
    ['been left open', 72, Buffer.from([1]), 'DISK_DAMAGED'],
    ['line ends that a text copy changed', 73, Buffer.from('\n \n\n'), 'DISK_DAMAGED'],
  ])('refuses a sparse one that has %s', async (_what, at, bytes, code) =>
    expect(examineImage(await samples.spoilt('vmdk-sparse', at, bytes))).rejects.toMatchObject({ code }),
  );

  it('asks for the descriptor where one of its extents is given', async () => {
    const failure = examineImage(join(samples.folder, 'vmdk-split', 'disk-s001.img'));
    await expect(failure).rejects.toMatchObject({ code: 'DISK_FORMAT_UNSUPPORTED' });
    await expect(failure).rejects.toThrow('names the extents');
  });

  it('refuses an unknown compression', async () =>
    expect(examineImage(await samples.spoilt('vmdk-stream', 77, Buffer.from([7, 0])))).rejects.toMatchObject({
      code: 'DISK_FORMAT_UNSUPPORTED',
    }));
});
