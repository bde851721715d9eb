import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import { inspectDisk } from '../inspect-disk';
import { isCpioAt, readCpio } from '../initramfs/cpio';
import { DiskBench, digestOf } from '../testing/disk-bench';
import {
  BOOT_OFFSET_BYTES,
  type Files,
  KERNEL,
  MAC,
  ROOT_OFFSET_BYTES,
  ROOT_UUID,
  SWAP_UUID,
  bootFiles,
  describeGuestFile,
  fakeInitramfs,
  makeFakeServer,
  rootFiles,
} from '../testing/fake-server';
import { readManifest } from './manifest';
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

describe('converting a disk', () => {
  it('adjusts a clone and leaves the source alone', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const before = await digestOf(source);
    const texts: string[] = [];
    const { disk, steps, mac, manifestPath } = await bench.convert(source, {
      onProgress: (text) => void texts.push(text),
    });

    expect(await digestOf(source)).toBe(before);
    expect(mac).toBe(MAC);
    expect(steps.map(({ name }) => name)).toEqual([
      'known-distribution',
      'stable-storage',
      'boot-loaders',
      'keep-nics',
      'guest-agent-on',
      'boot-drivers',
    ]);
    expect(new Set(texts).size).toBeGreaterThan(5);
    expect([
      await bench.check(disk.path, ROOT_OFFSET_BYTES),
      await bench.check(disk.path, BOOT_OFFSET_BYTES),
    ]).toEqual([0, 0]);
    expect((await readManifest(manifestPath)).changes.length).toBeGreaterThan(5);

    const fstab = await bench.rootFile(disk.path, '/etc/fstab');
    expect(fstab).toContain(`UUID=${ROOT_UUID} / ext4`);
    expect(fstab).toContain(`UUID=${SWAP_UUID} none swap`);
    expect(fstab).toContain('/dev/sdb1 /data ext4 nofail');
    expect(steps.find(({ name }) => name === 'stable-storage')?.summary).toContain('/dev/sdb1');
    const grub = (await bench.bootFile(disk.path, '/grub/grub.cfg')).toString();
    expect(grub).toContain(`root=UUID=${ROOT_UUID} ro quiet resume=UUID=${SWAP_UUID}`);
    expect(await bench.rootFile(disk.path, '/etc/default/grub')).toContain('#GRUB_DISABLE_LINUX_UUID=true');
    expect((await bench.bootFile(disk.path, '/grub/device.map')).toString()).toBe('(hd0)\t/dev/vda\n');
    expect(await bench.rootFile(disk.path, '/etc/initramfs-tools/modules')).toMatch(
      /^ahci\n[^]*virtio_blk\n/,
    );
    expect(await bench.rootFile(disk.path, '/etc/udev/rules.d/70-persistent-net.rules')).not.toContain(
      'e1000e',
    );
    expect((await inspectDisk({ path: disk.path, tools })).kernels).toMatchObject([{ hasVirtio: true }]);
  });

  it('puts the drivers behind what the initramfs holds, below usr/lib', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { disk } = await bench.convert(source);
    const initramfs = await bench.bootFile(disk.path, `/initrd.img-${KERNEL}`);
    const original = fakeInitramfs();
    expect(initramfs.subarray(0, original.length).equals(original)).toBe(true);
    // Between them zeros, which the kernel passes over.
    const start = original.length + initramfs.subarray(original.length).findIndex((byte) => byte !== 0);
    expect(start % 4).toBe(0);
    expect(isCpioAt(initramfs, start)).toBe(true);
    const files = new Map(
      readCpio(initramfs, start).entries.map(({ path, content }) => [path, content.toString()]),
    );
    const modules = `usr/lib/modules/${KERNEL}`;
    for (const path of [
      'virtio/virtio_pci',
      'virtio/virtio_pci_modern_dev',
      'block/virtio_blk',
      'net/net_failover',
    ])
      expect(files.get(`${modules}/kernel/drivers/${path}.ko`)).toContain('ELF of');
    expect(files.get('conf/modules')).toMatch(/^ahci\n[^]*virtio_pci\nvirtio_blk\nvirtio_net\n$/);
    expect(files.get('conf/modules')).not.toContain('sd_mod');
    expect(files.get('conf/conf.d/resume')).toBe(`RESUME=UUID=${SWAP_UUID}\n`);
    expect(files.get('usr/lib/udev/rules.d/70-persistent-net.rules')).toContain(MAC);
    expect([...files.keys()].filter((path) => path === 'lib' || path.startsWith('lib/'))).toEqual([]);
  });

  it('keeps owner, rights and extended attributes of what it replaces', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const value = join(bench.folder, 'value');
    await writeFile(value, 'system_u:object_r:etc_t:s0\0');
    await bench.edit(source, ROOT_OFFSET_BYTES, [
      'sif /etc/fstab mode 0100640',
      'sif /etc/fstab uid 70000',
      'sif /etc/fstab gid 6',
      `ea_set -f ${value} /etc/fstab security.selinux`,
      'sif /etc/fstab flags 0x80080',
    ]);
    const described = (disk: string) => describeGuestFile(tools, disk, ROOT_OFFSET_BYTES, '/etc/fstab');
    const before = await described(source);
    const { disk, manifest } = await bench.convert(source);
    const after = await described(disk.path);
    const withoutSizeAndTimes = (text: string) => text.replace(/Size: \d+| [am]time.*/g, '');
    expect(withoutSizeAndTimes(after)).toBe(withoutSizeAndTimes(before));
    expect(after).toContain('security.selinux');
    const reverted = join(source, '..', 'reverted.raw');
    await revertDisk({ diskPath: disk.path, manifest, targetPath: reverted, tools });
    expect(await described(reverted)).toBe(before);
    const { stdout } = await tools.run('debugfs', [
      '-R',
      'stat /etc/fstab',
      `${reverted}?offset=${ROOT_OFFSET_BYTES}`,
    ]);
    expect(stdout.toString()).toContain('Flags: 0x80080');
  });

  it('gives another address the same name', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { disk, mac } = await bench.convert(source, {
      nics: [{ oldMac: MAC.toUpperCase(), newMac: NEW_MAC }],
    });
    expect(mac).toBe(NEW_MAC);
    const { nicRules } = await inspectDisk({ path: disk.path, tools });
    expect(nicRules).toMatchObject([
      { mac: MAC, name: 'eth0' },
      { mac: NEW_MAC, name: 'eth0' },
    ]);
  });

  it('binds a name that came from the slot to the address', async () => {
    const root: Files = { ...rootFiles(), 'etc/network/interfaces': 'auto enp3s0\niface enp3s0 inet dhcp\n' };
    delete root['etc/udev/rules.d/70-persistent-net.rules'];
    const source = await makeFakeServer({ folder: await bench.place(), tools, root });
    const { disk, mac } = await bench.convert(source);
    const { nicRules } = await inspectDisk({ path: disk.path, tools });
    expect(nicRules).toMatchObject([{ mac, name: 'enp3s0' }]);
  });

  it('replays the journal of a disk that was not shut down, on the clone alone', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const { stdout } = await tools.run('debugfs', [
      '-R',
      'blocks /etc/hostname',
      `${source}?offset=${ROOT_OFFSET_BYTES}`,
    ]);
    const block = join(bench.folder, 'block');
    await writeFile(block, Buffer.concat([Buffer.from('from-journal'), Buffer.alloc(1012)]));
    await bench.edit(source, ROOT_OFFSET_BYTES, ['jo', `jw -b ${stdout.toString().trim()} ${block}`, 'jc']);
    const before = await digestOf(source);
    expect((await inspectDisk({ path: source, tools })).fileSystemDirty).toBe(true);
    const { disk } = await bench.convert(source);
    expect(await bench.rootFile(disk.path, '/etc/hostname')).toMatch(/^from-journ/);
    expect((await inspectDisk({ path: disk.path, tools })).fileSystemDirty).toBe(false);
    expect(await digestOf(source)).toBe(before);
    expect((await readdir(join(source, '..'))).sort()).toEqual([
      'guest.raw',
      'guest.raw.manifest.json',
      'server.raw',
    ]);
  });

  it.each([
    ['zstd', (archive: Buffer) => tools.run('zstd', ['-q', '-c'], { stdin: archive })],
    ['xz', (archive: Buffer) => tools.run('xz', ['-q', '-c', '--check=crc32'], { stdin: archive })],
  ])(
    'converts a converted disk again without a change, with an initramfs packed by %s',
    async (_name, pack) => {
      const { stdout } = await pack(fakeInitramfs((archive) => archive));
      const boot = { ...bootFiles(), [`initrd.img-${KERNEL}`]: stdout };
      const source = await makeFakeServer({ folder: await bench.place(), tools, boot });
      const { disk } = await bench.convert(source);
      const again = await bench.convert(disk.path, { targetPath: join(source, '..', 'again.raw') });
      expect(again.manifest.changes).toEqual([]);
    },
  );

  it.each([
    [
      'a kernel without virtio',
      'TARGET_DRIVER_MISSING',
      {
        root: { ...rootFiles(), [`usr/lib/modules/${KERNEL}/modules.dep`]: 'kernel/drivers/ata/ahci.ko:\n' },
      },
    ],
    [
      'a broken initramfs',
      'DISK_INITRAMFS_UNSUPPORTED',
      { boot: { ...bootFiles(), [`initrd.img-${KERNEL}`]: 'what?' } },
    ],
    ['a disk without a kernel', 'TARGET_KERNEL_UNSUPPORTED', { boot: { 'grub/grub.cfg': '' } }],
    [
      'a /boot without space',
      'DISK_FILE_SYSTEM_FULL',
      {
        boot: { ...bootFiles(), filler: Buffer.alloc(17_000_000, 1) },
        root: { ...rootFiles(), [`usr/lib/modules/${KERNEL}/modules.order`]: Buffer.alloc(12_000_000, 1) },
      },
    ],
  ])('refuses %s and leaves nothing behind', async (_what, code, files) => {
    const source = await makeFakeServer({ folder: await bench.place(), tools, ...files });
    await expect(bench.convert(source)).rejects.toMatchObject({ code });
    expect(await readdir(join(source, '..'))).toEqual(['server.raw']);
  });

  it('leaves nothing behind when it is aborted at any time', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    const texts = new Set<string>();
    await bench.convert(source, { onProgress: (text) => void texts.add(text) });
    for (const name of ['guest.raw', 'guest.raw.manifest.json']) await rm(join(source, '..', name));
    texts.delete('converted');
    for (const stop of texts) {
      const aborter = new AbortController();
      const running = bench.convert(source, {
        signal: aborter.signal,
        onProgress: (text) => text === stop && aborter.abort(new Error(`stopped at ${stop}`)),
      });
      await expect(running).rejects.toThrow(`stopped at ${stop}`);
      expect(await readdir(join(source, '..'))).toEqual(['server.raw']);
    }
  });

  it('refuses a target that is there and a folder that is not', async () => {
    const source = await makeFakeServer({ folder: await bench.place(), tools });
    await expect(bench.convert(source, { targetPath: source })).rejects.toMatchObject({
      code: 'TARGET_DISK_EXISTS',
    });
    await expect(
      bench.convert(source, { targetPath: join(bench.folder, 'no', 'where.raw') }),
    ).rejects.toMatchObject({
      code: 'TARGET_NOT_WRITABLE',
    });
    expect((await stat(source)).size).toBeGreaterThan(0);
  });
});
