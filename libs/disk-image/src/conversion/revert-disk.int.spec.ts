import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import { DiskBench } from '../testing/disk-bench';
import {
  BOOT_OFFSET_BYTES,
  type Files,
  KERNEL,
  MAC,
  ROOT_OFFSET_BYTES,
  SWAP_UUID,
  describeGuestFile,
  fakeInitramfs,
  makeFakeServer,
  readGuestFile,
  rootFiles,
} from '../testing/fake-server';
import { type ConversionManifest, readManifest } from './manifest';
import { revertDisk } from './revert-disk';

jest.setTimeout(120_000);

const NEW_MAC = '52:54:00:aa:bb:02';
let bench: DiskBench;
let tools: HostTools;

beforeAll(async () => {
  bench = await DiskBench.open();
  ({ tools } = bench);
}, 600_000);

afterAll(() => bench.close());

describe('reverting a converted disk', () => {
  const revert = async (disk: string, manifest: ConversionManifest) => {
    const targetPath = join(disk, '..', 'reverted.raw');
    return { targetPath, ...(await revertDisk({ diskPath: disk, manifest, targetPath, tools })) };
  };
  const places = (manifest: ConversionManifest) =>
    manifest.changes.map(({ path, kind }) => {
      const inBoot = path.startsWith('/boot/');
      return {
        kind,
        path: inBoot ? path.slice(5) : path,
        offset: inBoot ? BOOT_OFFSET_BYTES : ROOT_OFFSET_BYTES,
      };
    });

  it('makes every file equal to what it was, with its owner, rights and times', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { disk, manifest, manifestPath } = await bench.convert(source, {
      nics: [{ oldMac: MAC, newMac: NEW_MAC }],
    });
    const { targetPath, merged, remarks } = await revert(disk.path, await readManifest(manifestPath));
    expect([merged, remarks]).toEqual([[], []]);
    const touched = places(manifest);
    expect(touched.length).toBeGreaterThan(6);
    for (const { path, offset } of touched) {
      const [was, converted, is] = await Promise.all(
        [source, disk.path, targetPath].map((image) => readGuestFile(tools, image, offset, path)),
      );
      expect(converted?.equals(was ?? Buffer.alloc(0))).toBe(false);
      expect({ path, isEqual: is?.equals(was ?? Buffer.alloc(0)) }).toEqual({ path, isEqual: true });
      expect(await describeGuestFile(tools, targetPath, offset, path)).toBe(
        await describeGuestFile(tools, source, offset, path),
      );
    }
    expect([
      await bench.check(targetPath, ROOT_OFFSET_BYTES),
      await bench.check(targetPath, BOOT_OFFSET_BYTES),
    ]).toEqual([0, 0]);
  });

  it('removes files and folders that the conversion made', async () => {
    const root: Files = { ...rootFiles(), 'etc/network/interfaces': 'iface enp3s0 inet dhcp\n' };
    delete root['etc/udev/rules.d/70-persistent-net.rules'];
    delete root['etc/systemd/system/stock.service'];
    const source = await makeFakeServer({ folder: await bench.place(), tools, root });
    const { disk, manifest } = await bench.convert(source);
    expect(manifest.changes.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['created', 'directory-made']),
    );
    const { targetPath } = await revert(disk.path, manifest);
    const { stdout } = await tools.run('debugfs', [
      '-R',
      'ls -p /etc/systemd',
      `${targetPath}?offset=${ROOT_OFFSET_BYTES}`,
    ]);
    expect(stdout.toString()).not.toContain('network');
  });

  it('keeps what was changed since, and takes back its own lines alone', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { disk, manifest } = await bench.convert(source);
    const fstab = join(bench.folder, 'fstab');
    const converted = await bench.rootFile(disk.path, '/etc/fstab');
    await writeFile(fstab, `${converted}tmpfs /scratch tmpfs defaults 0 0\n`);
    const initramfs = join(bench.folder, 'initramfs');
    await writeFile(
      initramfs,
      fakeInitramfs((archive) => Buffer.concat([archive, archive])),
    );
    await bench.edit(disk.path, ROOT_OFFSET_BYTES, [
      'rm /etc/fstab',
      `write ${fstab} /etc/fstab`,
      `write ${fstab} /new-data`,
    ]);
    await bench.edit(disk.path, BOOT_OFFSET_BYTES, [
      `rm /initrd.img-${KERNEL}`,
      `write ${initramfs} /initrd.img-${KERNEL}`,
    ]);
    const { targetPath, merged, remarks } = await revert(disk.path, manifest);
    expect(merged).toEqual(['/etc/fstab']);
    expect(remarks).toEqual([expect.stringContaining('/boot/initrd.img-')]);
    expect(await bench.rootFile(targetPath, '/etc/fstab')).toBe(
      `${await bench.rootFile(source, '/etc/fstab')}tmpfs /scratch tmpfs defaults 0 0\n`,
    );
    expect(await bench.rootFile(targetPath, '/new-data')).toContain('/scratch');
  });

  it('refuses the manifest of another disk, and a file that is no manifest', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { disk, manifest } = await bench.convert(source);
    const other = { ...manifest, rootFileSystemUuid: SWAP_UUID };
    await expect(revert(disk.path, other)).rejects.toMatchObject({ code: 'DISK_REVERT_REFUSED' });
    await expect(readManifest(disk.path)).rejects.toMatchObject({ code: 'DISK_MANIFEST_INVALID' });
    expect(await readdir(join(source, '..'))).not.toContain('reverted.raw');
  });
});
