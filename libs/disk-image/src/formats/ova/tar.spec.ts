import { bytesOf } from '../../image/byte-source';
import { isTar, readTar, tarEnd, tarHeader, tarPadding } from './tar';

const IMAGE = 'The archive';
const member = (name: string, content: string): Buffer =>
  Buffer.concat([
    tarHeader(name, content.length, 1_700_000_000),
    Buffer.from(content),
    tarPadding(content.length),
  ]);
const archive = (...members: Buffer[]): Buffer => Buffer.concat([...members, tarEnd()]);
const read = (bytes: Buffer) => readTar(IMAGE, bytesOf(bytes));

/** A header as another writer may have made it. */
function header(name: string, size: string, type: string): Buffer {
  const bytes = tarHeader('placeholder', 0, 0);
  bytes.fill(0, 0, 100);
  bytes.write(name, 0);
  bytes.write(size.padStart(11, '0'), 124, 'latin1');
  bytes.write(type, 156, 'latin1');
  return withSum(bytes);
}

function withSum(bytes: Buffer): Buffer {
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return bytes;
}

const pax = (...records: string[]): Buffer => {
  const text = records.join('');
  return Buffer.concat([
    header('PaxHeaders', text.length.toString(8), 'x'),
    Buffer.from(text),
    tarPadding(text.length),
  ]);
};

describe('reading a tar archive', () => {
  it('tells where the members are', async () => {
    const bytes = archive(member('a.ovf', 'one'), member('b.vmdk', 'two and more'));
    expect(isTar(bytes)).toBe(true);
    expect(await read(bytes)).toEqual([
      { name: 'a.ovf', offset: 512, lengthBytes: 3 },
      { name: 'b.vmdk', offset: 1536, lengthBytes: 12 },
    ]);
  });

  it('takes an archive without the blocks at its end, and names that begin with ./', async () => {
    const bytes = Buffer.concat([header('./a.ovf', '3', '0'), Buffer.from('one'), tarPadding(3)]);
    expect(await read(bytes)).toEqual([{ name: 'a.ovf', offset: 512, lengthBytes: 3 }]);
  });

  it('takes sizes and names from pax headers', async () => {
    const bytes = archive(
      pax('13 size=1000\n', '15 path=b.vmdk\n'),
      header('long', '0', '0'),
      Buffer.alloc(1024),
    );
    expect(await read(bytes)).toEqual([{ name: 'b.vmdk', offset: 1536, lengthBytes: 1000 }]);
  });

  it('writes and reads sizes that octal digits do not hold', async () => {
    const large = tarHeader('disk.vmdk', 20 * 1024 ** 3, 0);
    await expect(read(archive(large))).rejects.toMatchObject({ code: 'DISK_TRUNCATED' });
    const bytes = {
      sizeBytes: 30 * 1024 ** 3,
      read: async (offset: number) => (offset === 0 ? large : Buffer.alloc(512)),
    };
    expect(await readTar(IMAGE, bytes)).toEqual([
      { name: 'disk.vmdk', offset: 512, lengthBytes: 20 * 1024 ** 3 },
    ]);
  });

  it.each([
    ['a link', 'DISK_FORMAT_UNSUPPORTED', archive(header('a', '0', '2'))],
    ['a hard link', 'DISK_FORMAT_UNSUPPORTED', archive(header('a', '0', '1'))],
    ['a folder', 'DISK_FORMAT_UNSUPPORTED', archive(header('a/', '0', '5'))],
    ['a device', 'DISK_FORMAT_UNSUPPORTED', archive(header('a', '0', '3'))],
    ['a path', 'DISK_HAS_BACKING_FILE', archive(header('a/b', '0', '0'))],
    ['a path upwards', 'DISK_HAS_BACKING_FILE', archive(header('..', '0', '0'))],
    [
      'a path in a pax header',
      'DISK_HAS_BACKING_FILE',
      archive(pax('18 path=../b.vmdk\n'), header('b', '0', '0')),
    ],
    ['a name twice', 'DISK_DAMAGED', archive(member('a', 'x'), member('a', 'y'))],
    ['a member past the end', 'DISK_TRUNCATED', archive(header('a', '777777', '0'))],
    ['a size that is none', 'DISK_DAMAGED', archive(header('a', 'x', '0'))],
    ['a pax header that is none', 'DISK_DAMAGED', archive(pax('99 size=1\n'), header('a', '0', '0'))],
    ['a pax size that is none', 'DISK_DAMAGED', archive(pax('10 size=x\n'), header('a', '0', '0'))],
    ['a huge pax header', 'DISK_DAMAGED', archive(header('p', '1000000', 'x'), Buffer.alloc(300_000))],
    [
      'a member with holes',
      'DISK_FORMAT_UNSUPPORTED',
      archive(pax('22 GNU.sparse.major=1\n'), header('a', '0', '0')),
    ],
    ['a wrong sum', 'DISK_DAMAGED', archive(member('a', 'x')).fill(1, 10, 11)],
    [
      'too many members',
      'DISK_DAMAGED',
      archive(...Array.from({ length: 1001 }, (_, index) => member(`${index}`, ''))),
    ],
    ['endless headers', 'DISK_DAMAGED', archive(...Array.from({ length: 3000 }, () => pax('10 size=1\n')))],
  ])('refuses %s', async (_what, code, bytes) => expect(read(bytes)).rejects.toMatchObject({ code }));
});
