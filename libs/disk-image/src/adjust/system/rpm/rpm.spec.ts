import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { randomFrom } from '../../../testing/synthetic-disks';
import { vendorAgentsOff } from '../../agents/vendor-agents-off';
import { carryOut } from '../../testing/carry-out';
import { MemoryGuest } from '../../testing/memory-guest';
import { readBerkeleyHash } from './berkeley-hash';
import { readRpmPackages } from './read-rpm';
import { readRpmHeader } from './rpm-header';
import { readSqliteTable } from './sqlite-table';

/** Made by rpm 4.18, and by Berkeley DB 5.3 from the same headers: 41 packages, of which one has 82 files. */
const databaseOf = (kind: 'sqlite' | 'berkeley'): Buffer =>
  gunzipSync(readFileSync(join(__dirname, `../../testing/rpm-packages.${kind}.gz`)));
const PLACES = { sqlite: '/var/lib/rpm/rpmdb.sqlite', berkeley: '/var/lib/rpm/Packages' } as const;
const KINDS = ['sqlite', 'berkeley'] as const;

describe("RPM's database", () => {
  it.each(KINDS)('says what is installed, by %s', async (kind) => {
    const packages = await readRpmPackages(new MemoryGuest({ [PLACES[kind]]: databaseOf(kind) }));
    const names = packages?.map(({ name }) => name).sort() ?? [];
    expect(names).toHaveLength(41);
    expect(names.slice(-2)).toEqual(['nginx', 'srvadmin-new']);
    // It was removed again.
    expect(names).not.toContain('filler-7');
    const found = packages?.find(({ name }) => name === 'srvadmin-new');
    expect(found?.version).toBe('1.2');
    expect(found?.files()).toEqual(
      expect.arrayContaining([
        '/etc/init.d/dsm-old',
        '/usr/lib/systemd/system/dsm-new.service',
        '/opt/x/a-file-with-a-long-name-80',
      ]),
    );
    expect(found?.files()).toHaveLength(83);
  });

  it.each(KINDS)("leads to units of vendors' packages, by %s", async (kind) => {
    const tree = {
      [PLACES[kind]]: databaseOf(kind),
      '/usr/lib/systemd/systemd': '',
      '/usr/lib/systemd/system/dsm-new.service': 'x',
      '/etc/init.d/dsm-old': '#!/bin/sh\n',
    };
    const { changed, leftUndone } = await carryOut(tree, [vendorAgentsOff]);
    expect(Object.keys(changed).sort()).toEqual([
      '/etc/systemd/system/dsm-new.service',
      '/etc/systemd/system/dsm-old.service',
    ]);
    expect(leftUndone).toEqual([]);
  });

  it('of another kind is told', async () => {
    const tree = { '/var/lib/rpm/Packages.db': 'RpmP', '/usr/lib/systemd/systemd': '' };
    expect((await carryOut(tree, [vendorAgentsOff])).leftUndone[0]).toContain('the package database');
  });

  it.each(KINDS)('ends on any bytes, by %s', (kind) => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const whole = databaseOf(kind);
    for (let round = 0; round < 150; round++) {
      const bytes = Buffer.from(whole.subarray(0, round % 3 === 0 ? random() * whole.length : whole.length));
      // Mostly where pages say what they are and where they go on.
      for (let change = 0; change < 40 && bytes.length > 0; change++) {
        const at = Math.floor(random() * (bytes.length / 4096)) * 4096 + Math.floor(random() * 40);
        if (at < bytes.length) bytes[at] = Math.floor(random() * 256);
      }
      try {
        const blobs =
          kind === 'sqlite'
            ? (readSqliteTable(bytes, 'Packages') ?? []).flatMap(([, blob]) =>
                Buffer.isBuffer(blob) ? [blob] : [],
              )
            : (readBerkeleyHash(bytes) ?? []);
        for (const blob of blobs) readRpmHeader(blob)?.files();
      } catch (error) {
        throw new Error(`seed ${seed}, round ${round}: ${String(error)}`, { cause: error });
      }
    }
  });

  it('with a tree that leads back into itself is damaged', () => {
    const bytes = databaseOf('sqlite');
    // The first page becomes the parent of itself.
    bytes[100] = 0x05;
    bytes.writeUInt16BE(0, 103);
    bytes.writeUInt32BE(1, 108);
    expect(readSqliteTable(bytes, 'Packages')).toBeUndefined();
  });

  it.each([
    ['too short', Buffer.alloc(7)],
    ['with more entries than it has bytes', Buffer.from('7fffffff00000000', 'hex')],
    ['without a name', Buffer.alloc(8)],
  ])('has no package in a header %s', (_name, blob) => expect(readRpmHeader(blob)).toBeUndefined());
});
