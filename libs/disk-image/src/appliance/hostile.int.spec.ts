import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { qcow2Image } from '../testing/synthetic-disks';
import { Appliance, type ApplianceOptions } from './appliance';
import type { DiskScan } from './scan';
import {
  circularPartitions,
  editBytes,
  millionPartitions,
  rewriteVolumeGroup,
} from './testing/hostile-disks';
import { expectRun, makeEmptyDisk } from './testing/layered-disk';

const TIMEOUT_MS = 180_000;
jest.setTimeout(TIMEOUT_MS);
const MIB = 1024 * 1024;

/** Processes of this machine that were started with the text in an argument. */
async function processesWith(text: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return lines.filter((line) => line.includes(text));
}

describe('disks that mislead', () => {
  const tools = createHostTools();
  let folder: string;
  const place = (name: string): string => join(folder, name);
  const start = (name: string, more: Partial<ApplianceOptions> = {}): Promise<Appliance> =>
    Appliance.start({
      disk: place(name),
      format: 'raw',
      readOnly: true,
      accelerator: 'tcg',
      memoryMiB: 512,
      tools,
      ...more,
    });

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64']);
    folder = await mkdtemp(join(tmpdir(), 'watari-hostile-spec-'));
    for (const name of ['xfs', 'groups', 'btrfs']) await makeEmptyDisk(place(name), 320 * MIB);
    const moreDisks = ['groups', 'btrfs'].map((name) => ({ path: place(name), format: 'raw' as const }));
    const maker = await start('xfs', { readOnly: false, moreDisks });
    await expectRun(maker, ['mkfs.xfs', '-q', '/dev/vda']);
    await expectRun(maker, ['lvm', 'pvcreate', '-q', '/dev/vdb']);
    await expectRun(maker, ['lvm', 'vgcreate', '-q', 'vg', '/dev/vdb']);
    for (const name of ['first', 'second'])
      await expectRun(maker, ['lvm', 'lvcreate', '-q', '-y', '-L', '32M', '-n', name, 'vg']);
    await expectRun(maker, ['mkfs.btrfs', '-q', '/dev/vdc']);
    await maker.close();
    // The headers of the first allocation group, which the superblock's checksum does not cover.
    await editBytes(place('xfs'), 512, 3 * 512, (bytes) => bytes.fill(0xa5, 16));
    await editBytes(place('xfs'), 64 * 1024, 256 * 1024, (bytes) => bytes.fill(0x5a));
    await editBytes(place('btrfs'), 17 * MIB, 32 * MIB, (bytes) => bytes.fill(0x5a));
    await writeFile(place('circle'), circularPartitions());
    await writeFile(place('million'), millionPartitions());
  }, TIMEOUT_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describe('in one appliance', () => {
    let appliance: Appliance;
    let scan: DiskScan;
    beforeAll(async () => {
      await rewriteVolumeGroup(place('groups'), (text) => {
        const parts = text.split('"pv0", ');
        expect(parts).toHaveLength(3);
        return `${parts[0] ?? ''}"second", ${parts[1] ?? ''}"first", ${parts[2] ?? ''}`;
      });
      const others = ['groups', 'btrfs', 'circle', 'million'];
      appliance = await start('xfs', {
        moreDisks: others.map((name) => ({ path: place(name), format: 'raw' })),
      });
      scan = await appliance.scan();
    }, TIMEOUT_MS);
    afterAll(() => appliance.close(), TIMEOUT_MS);

    it('brings up no volumes that lie on each other, and says so', () => {
      expect(scan.problems.join()).toMatch(/LVM: .*no sense/);
      expect(scan.devices.filter(({ kind }) => kind === 'lvm')).toEqual([]);
    });

    it('shows no more partitions than there can be', () => {
      const below = (disk: string): number =>
        scan.devices.filter(({ parents }) => parents.includes(disk)).length;
      expect(below('/dev/vdd')).toBeLessThan(256);
      expect(below('/dev/vde')).toBeLessThan(256);
      expect(scan.devices.length).toBeLessThan(520);
    });

    it.each([
      ['xfs', '/dev/vda'],
      ['btrfs', '/dev/vdc'],
      ['ext4', '/dev/vdb'],
    ])('refuses a damaged %s, and goes on', async (type, device) => {
      const mounted = appliance.mount({ device, type, at: '/' });
      await expect(mounted).rejects.toMatchObject({ code: 'DISK_DAMAGED' });
      await expect(appliance.files.find('/')).rejects.toThrow(/No root is mounted/);
    });

    it.each([
      ['a device that is none', { device: '/dev/vdz', type: 'xfs' }],
      ['a file of the appliance', { device: '/init', type: 'xfs' }],
      ['what is no file system', { device: '/dev/vda', type: 'swap' }],
      ['options in a subvolume', { device: '/dev/vdc', type: 'btrfs', subvolume: 'a,dev,suid' }],
    ])('mounts nothing for %s', async (_, request) => {
      await expect(appliance.mount({ at: '/', ...request })).rejects.toThrow(
        /no device|no file system|subvolume/,
      );
    });
  });

  it('is told when the kernel of the appliance gives up, and no process stays', async () => {
    const appliance = await start('circle');
    const crash = appliance.run(['sh', '-c', 'echo c > /proc/sysrq-trigger']);
    await expect(crash).rejects.toMatchObject({
      code: 'APPLIANCE_DIED',
      message: expect.stringMatching(/panic/) as string,
    });
    await expect(appliance.scan()).rejects.toMatchObject({ code: 'APPLIANCE_DIED' });
    await expect(appliance.close()).rejects.toMatchObject({ code: 'APPLIANCE_DIED' });
    expect(await processesWith(place('circle'))).toEqual([]);
  });

  it('ends at once when it is aborted, at its start and later', async () => {
    const early = new AbortController();
    const starting = start('circle', { signal: early.signal });
    setTimeout(() => early.abort(new Error('changed my mind')), 500);
    await expect(starting).rejects.toThrow('changed my mind');
    const late = new AbortController();
    const appliance = await start('circle', { signal: late.signal });
    const sleeping = appliance.run(['busybox', 'sleep', '30']);
    expect(await processesWith(place('circle'))).toHaveLength(1);
    late.abort(new Error('not that long'));
    await expect(sleeping).rejects.toThrow('not that long');
    await expect(appliance.close()).rejects.toThrow('not that long');
    expect(await processesWith(place('circle'))).toEqual([]);
  });

  it('waits for no program of the appliance that hangs, and stays usable beside another one', async () => {
    const [appliance, other] = await Promise.all([start('btrfs'), start('xfs')]);
    const sleeping = appliance.run(['busybox', 'sleep', '30'], { timeoutMs: 300 });
    await expect(sleeping).rejects.toMatchObject({ code: 'APPLIANCE_TIMED_OUT', canRetry: true });
    for (const one of [appliance, other]) expect((await one.scan()).devices).toHaveLength(1);
    await Promise.all([appliance.close(), other.close()]);
    for (const name of ['btrfs', 'xfs']) expect(await processesWith(place(name))).toEqual([]);
  });

  it('does not start for an image that names another file', async () => {
    const name = Buffer.from('/etc/passwd');
    const image = qcow2Image(MIB, (bytes) => {
      bytes.writeBigUInt64BE(512n, 8);
      bytes.writeUInt32BE(name.length, 16);
      name.copy(bytes, 512);
    });
    await writeFile(place('backed'), image);
    await expect(start('backed', { format: 'qcow2' })).rejects.toMatchObject({
      code: 'DISK_HAS_BACKING_FILE',
    });
    await expect(start('none')).rejects.toMatchObject({ code: 'DISK_NOT_FOUND' });
    await expect(start('circle', { memoryMiB: 10 ** 7 })).rejects.toMatchObject({
      code: 'APPLIANCE_OVER_BUDGET',
    });
  });
});
