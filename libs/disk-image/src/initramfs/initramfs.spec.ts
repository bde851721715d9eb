import { gzipSync } from 'node:zlib';
import type { HostTools } from '@watari/host-tools';
import { fakeInitramfs } from '../testing/fake-server';
import { randomFrom } from '../testing/synthetic-disks';
import { type CpioEntry, readCpio, writeCpio } from './cpio';
import { isMergedUsr, readInitramfs } from './initramfs';

/** These parts need no program. */
const tools = {
  run: (tool: string) =>
    Promise.reject(Object.assign(new Error(`${tool} was started`), { code: 'HOST_TOOL_FAILED' })),
} as unknown as HostTools;

const file = (path: string, text: string): CpioEntry => ({
  path,
  mode: 0o100644,
  content: Buffer.from(text),
});
/** lz4's legacy format with literals alone, and one block that repeats a letter by a match. */
function packLz4(archive: Buffer): Buffer {
  const block = (body: Buffer): Buffer[] => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return [length, body];
  };
  const literals = (content: Buffer): Buffer => {
    const lengths = [Buffer.from([0xf0])];
    let rest = content.length - 15;
    for (; rest >= 255; rest -= 255) lengths.push(Buffer.from([255]));
    return Buffer.concat([...lengths, Buffer.from([rest]), content]);
  };
  // One literal zero, then 15 + 4 + 6 times the same by a match at distance 1, then a last literal.
  const zeros = Buffer.from([0x1f, 0, 1, 0, 6, 0x10, 0]);
  return Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), ...block(literals(archive)), ...block(zeros)]);
}

describe('initramfs', () => {
  it('writes what it reads, with the folders that the kernel needs', () => {
    const { entries, end } = readCpio(writeCpio([file('a/b/c', 'hello'), file('a/d', '')]), 0);
    expect(entries.map(({ path, mode }) => [path, mode.toString(8)])).toEqual([
      ['a', '40755'],
      ['a/b', '40755'],
      ['a/b/c', '100644'],
      ['a/d', '100644'],
    ]);
    expect(entries[2]?.content.toString()).toBe('hello');
    expect(end % 4).toBe(0);
  });

  it('writes the same bytes for the same content', () =>
    expect(writeCpio([file('a', 'x')]).equals(writeCpio([file('a', 'x')]))).toBe(true));

  it.each([
    ['nothing', 'none', (archive: Buffer) => archive],
    ['gzip', 'gzip', (archive: Buffer) => gzipSync(archive)],
    ['lz4', 'lz4', packLz4],
  ])('reads archives that follow each other, the main one packed by %s', async (_name, compression, pack) => {
    const early = writeCpio([file('kernel/x86/microcode/GenuineIntel.bin', 'code')]);
    const main = fakeInitramfs(pack);
    const late = writeCpio([file('conf/modules', 'later\n')]);
    const gap = Buffer.alloc(4 - (main.length % 4));
    const found = await readInitramfs(Buffer.concat([early, Buffer.alloc(512), main, gap, late]), tools);
    expect(found).toMatchObject({ compression, maker: 'initramfs-tools' });
    expect(found?.files.get('conf/modules')?.content.toString()).toBe('later\n');
    expect(found?.files.has('kernel/x86/microcode/GenuineIntel.bin')).toBe(true);
    expect(found && isMergedUsr(found)).toBe(true);
  });

  it('reads what stands right behind a part packed by gzip, its head with or without a name', async () => {
    const late = writeCpio([file('conf/modules', 'later\n')]);
    const packed = gzipSync(fakeInitramfs((archive) => archive));
    for (const name of ['', 'a', 'ab', 'abc', 'abcd']) {
      const head = Buffer.concat([packed.subarray(0, 10), Buffer.from(name === '' ? '' : `${name}\0`)]);
      head[3] = name === '' ? 0 : 8;
      const main = Buffer.concat([head, packed.subarray(10)]);
      const gap = Buffer.alloc((4 - (main.length % 4)) % 4);
      const found = await readInitramfs(Buffer.concat([main, gap, late]), tools);
      expect(found?.files.get('conf/modules')?.content.toString()).toBe('later\n');
    }
  });

  it('knows no initramfs in other bytes', async () => {
    expect(await readInitramfs(Buffer.from('what is this?'), tools)).toBeUndefined();
    expect(await readInitramfs(fakeInitramfs().subarray(0, 200), tools)).toBeUndefined();
  });

  it('ends on any bytes', async () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const wholes = [fakeInitramfs((archive) => archive), fakeInitramfs(packLz4), fakeInitramfs()];
    for (let round = 0; round < 1500; round++) {
      const image = Buffer.from(wholes[round % wholes.length] ?? Buffer.alloc(0));
      for (let change = 0; change < 1 + random() * 8; change++)
        image[Math.floor(random() * image.length)] = Math.floor(random() * 256);
      await readInitramfs(image, tools).catch((error: unknown) => {
        throw new Error(`seed ${seed}, round ${round}: ${String(error)}`);
      });
    }
  });
});
