import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { type PhysicalServer, buildPhysicalServer } from '@watari/physical-server';
import { bootGuest } from '../testing/boot-guest';
import { type Conversion, convertDisk } from './convert-disk';
import { revertDisk } from './revert-disk';

jest.setTimeout(300_000);

const tools = createHostTools();
const OTHER_MAC = '52:54:00:0d:0e:0f';
const NO_ROOT = /Gave up waiting for root|does not exist.\s+Dropping to a shell|\(initramfs\)/;
let folder: string;
let server: PhysicalServer;
let converted: Conversion;

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'dumpe2fs', 'qemu-system-x86_64']);
  server = await buildPhysicalServer({ tools });
  folder = await mkdtemp(join(tmpdir(), 'disk-image-boot-'));
  converted = await convertDisk({
    sourcePath: server.diskPath,
    sourceFormat: server.format,
    targetPath: join(folder, 'guest.raw'),
    target: 'kvm-virtio',
    nics: [{ oldMac: server.hardware.mac, newMac: OTHER_MAC }],
    tools,
  });
}, 1_800_000);

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
});

const boot = (diskPath: string, hardware: 'ahci' | 'virtio', mac: string) =>
  bootGuest({
    tools,
    diskPath,
    hardware,
    mac,
    guestPort: server.probe.port,
    path: server.probe.path,
    consolePath: join(folder, `console-${hardware}-${mac.slice(-2)}`),
    endsAt: NO_ROOT,
    timeoutMs: 240_000,
  });

describe('a physical server on virtual hardware', () => {
  it('does not find its root on virtio before it is converted', async () => {
    const { answer, console } = await boot(server.diskPath, 'virtio', server.hardware.mac);
    expect(answer).toBeUndefined();
    expect(console).toMatch(NO_ROOT);
  });

  it('reaches its service on virtio once it is converted, even with another address', async () => {
    const { answer, console } = await boot(converted.disk.path, 'virtio', OTHER_MAC);
    expect(`${answer ?? 'no answer'} ${answer ? '' : console.slice(-2000)}`).toContain(server.hostname);
  });

  it('reaches its service on its own hardware once it is reverted', async () => {
    const targetPath = join(folder, 'reverted.raw');
    await revertDisk({ diskPath: converted.disk.path, manifest: converted.manifest, targetPath, tools });
    const { answer, console } = await boot(targetPath, 'ahci', server.hardware.mac);
    expect(`${answer ?? 'no answer'} ${answer ? '' : console.slice(-2000)}`).toContain(server.hostname);
  });
});
