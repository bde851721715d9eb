import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { type PhysicalServer, buildPhysicalServer } from '@watari/physical-server';
import { Appliance } from '../appliance/appliance';
import { openApplianceGuest } from '../appliance/open-appliance-guest';
import { bootGuest } from '../testing/boot-guest';
import { makeServerOnXfs } from '../testing/server-on-xfs';
import { type Conversion, convertDisk } from './convert-disk';
import { sha256Of } from './manifest';
import { revertDisk } from './revert-disk';

jest.setTimeout(600_000);

const tools = createHostTools();
const NO_ROOT = /Gave up waiting for root|does not exist.\s+Dropping to a shell|\(initramfs\)/;
const BYTES_MAX = 256 * 1024 * 1024;
/** Each boot takes a minute and more without KVM, and an appliance a quarter of one. */
const ifAll = process.env['WATARI_ALL_GUESTS'] === '1' ? it : it.skip;
let folder: string;
let server: PhysicalServer;
let sourcePath: string;
let converted: Conversion;

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'dumpe2fs', 'qemu-system-x86_64']);
  server = await buildPhysicalServer({ tools });
  folder = await mkdtemp(join(tmpdir(), 'disk-image-xfs-'));
  sourcePath = join(folder, 'server.raw');
  await makeServerOnXfs(sourcePath, server, tools);
  converted = await convertDisk({
    sourcePath,
    sourceFormat: 'raw',
    targetPath: join(folder, 'guest.raw'),
    target: 'kvm-virtio',
    appliance: { accelerator: 'tcg' },
    tools,
  });
}, 1_800_000);

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function expectAnswer(diskPath: string, hardware: 'ahci' | 'virtio'): Promise<void> {
  const { answer, console } = await boot(diskPath, hardware);
  expect(`${answer ?? 'no answer'} ${answer ? '' : console.slice(-3000)}`).toContain(server.hostname);
}

const boot = (diskPath: string, hardware: 'ahci' | 'virtio') =>
  bootGuest({
    tools,
    diskPath,
    hardware,
    mac: server.hardware.mac,
    guestPort: server.probe.port,
    path: server.probe.path,
    consolePath: join(folder, `console-${hardware}`),
    endsAt: NO_ROOT,
    timeoutMs: 300_000,
  });

/** SHA-256 of each of the files, as the appliance reads them. */
async function sumsOf(disk: string, paths: readonly string[]): Promise<Record<string, string>> {
  const appliance = await Appliance.start({ disk, format: 'raw', readOnly: true, accelerator: 'tcg', tools });
  try {
    await openApplianceGuest(appliance);
    const sums: Record<string, string> = {};
    for (const path of paths) {
      const content = await appliance.files.read(path, BYTES_MAX);
      sums[path] = content ? sha256Of(content) : 'not there';
    }
    return sums;
  } finally {
    await appliance.close();
  }
}

describe('a server whose root is on XFS', () => {
  it('names root and /boot so that they stay, and leaves what a person set up', () => {
    const names = converted.steps.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['stable-storage', 'boot-loaders', 'boot-drivers']));
    expect(converted.manifest.rootFileSystemUuid).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('boots from its own loader on virtio once it is converted', () =>
    expectAnswer(converted.disk.path, 'virtio'));

  ifAll('has, once it is reverted, every file as it was', async () => {
    const targetPath = join(folder, 'reverted.raw');
    await revertDisk({
      diskPath: converted.disk.path,
      manifest: converted.manifest,
      targetPath,
      appliance: { accelerator: 'tcg' },
      tools,
    });
    const paths = converted.manifest.changes.map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(3);
    expect(await sumsOf(targetPath, paths)).toEqual(await sumsOf(sourcePath, paths));
  });

  ifAll('boots on its own hardware before, and not on virtio', async () => {
    await expectAnswer(sourcePath, 'ahci');
    const { answer, console } = await boot(sourcePath, 'virtio');
    expect(answer).toBeUndefined();
    expect(console).toMatch(NO_ROOT);
  });

  ifAll('boots on its own hardware once it is reverted', () =>
    expectAnswer(join(folder, 'reverted.raw'), 'ahci'),
  );
});
