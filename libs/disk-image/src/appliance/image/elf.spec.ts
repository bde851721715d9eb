import { readFile } from 'node:fs/promises';
import { isElf, readModuleInfo, readNeeded } from './elf';

/** An ELF file of two sections: names, and one with the given name and content. */
function elfWith(sectionName: string, content: Buffer): Buffer {
  const names = Buffer.from(`\0.shstrtab\0${sectionName}\0`);
  const [namesAt, contentAt] = [64, 64 + names.length];
  const tableAt = contentAt + content.length;
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  header.writeBigUInt64LE(BigInt(tableAt), 40);
  header.writeUInt16LE(2, 60);
  const section = (nameAt: number, offset: number, sizeBytes: number): Buffer => {
    const bytes = Buffer.alloc(64);
    bytes.writeUInt32LE(nameAt, 0);
    bytes.writeBigUInt64LE(BigInt(offset), 24);
    bytes.writeBigUInt64LE(BigInt(sizeBytes), 32);
    return bytes;
  };
  const table = [section(1, namesAt, names.length), section(11, contentAt, content.length)];
  return Buffer.concat([header, names, content, ...table]);
}

describe('an ELF file', () => {
  it('names the libraries that it needs, and its loader', async () => {
    const program = await readFile(process.execPath);
    expect(isElf(program)).toBe(true);
    const { libraries, loader } = readNeeded(program);
    expect(libraries).toEqual(expect.arrayContaining(['libc.so.6', 'libpthread.so.0']));
    expect(loader).toMatch(/^\/lib.*\/ld-linux.*\.so\.\d$/);
  });

  it('of a kernel module says what it needs and goes by', () => {
    const info = ['depends=xor,raid6_pq', 'alias=fs-btrfs', 'softdep=pre: crc32c', 'vermagic=6.1 SMP '];
    const module = elfWith('.modinfo', Buffer.from(`${info.join('\0')}\0`));
    expect(readModuleInfo(module)).toEqual([
      { name: 'depends', value: 'xor,raid6_pq' },
      { name: 'alias', value: 'fs-btrfs' },
      { name: 'softdep', value: 'pre: crc32c' },
      { name: 'vermagic', value: '6.1 SMP ' },
    ]);
    expect(readModuleInfo(elfWith('.text', Buffer.from('depends=x\0')))).toEqual([]);
  });

  it('is told from what is none', () => {
    expect(readNeeded(Buffer.from('#!/bin/sh\n'))).toEqual({ libraries: [] });
    expect(readModuleInfo(Buffer.alloc(100))).toEqual([]);
  });
});
