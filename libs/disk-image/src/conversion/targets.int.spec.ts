import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { type PhysicalServer, buildPhysicalServer } from '@watari/physical-server';
import { examineImage } from '../formats';
import { inspectDisk } from '../inspect-disk';
import { convertImage, type OutputFormat, revertImage } from './convert-image';
import type { MachineTargetName } from './machine-targets';

jest.setTimeout(600_000);

const tools = createHostTools();
let folder: string;
let server: PhysicalServer;

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'dumpe2fs', 'qemu-img']);
  server = await buildPhysicalServer({ tools });
  folder = await mkdtemp(join(tmpdir(), 'disk-image-targets-'));
}, 1_800_000);
afterAll(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
});

const convert = (target: MachineTargetName, outputFormat: OutputFormat) =>
  convertImage({
    sourcePath: server.diskPath,
    sourceFormat: 'raw',
    targetPath: join(folder, `${target}.${outputFormat}`),
    target,
    outputFormat,
    tools,
  });

/** Modules that the conversion must have named for later kernels, one of each platform's own. */
const CASES: readonly (readonly [MachineTargetName, OutputFormat, string])[] = [
  ['kvm-virtio-scsi', 'qcow2', 'virtio_scsi'],
  ['vmware-pvscsi', 'ova', 'vmw_pvscsi'],
  ['hyperv-gen1', 'vhdx', 'hv_storvsc'],
];

describe.each(CASES)('a server for %s, as %s', (target, kind, driver) => {
  it('has its drivers at boot, can be looked into, and goes back as it was', async () => {
    const { disk, files, manifest, manifestPath } = await convert(target, kind);
    expect(files).toEqual([disk.path]);
    expect(manifest.target).toBe(target);
    const drivers = manifest.steps.find(({ name }) => name === 'boot-drivers');
    expect(drivers?.summary).toContain('initrd.img');
    const changed = manifest.changes.find(({ path }) => path === '/etc/initramfs-tools/modules');
    expect(JSON.stringify(changed)).toContain(driver);
    expect((await examineImage(disk.path)).format).toBe(kind);
    const inside = await inspectDisk({ path: disk.path, tools });
    expect(inside).toMatchObject({ format: kind, hostname: server.hostname });
    expect(inside.kernelRoots).not.toContain('/dev/sda1');

    const reverted = await revertImage({
      diskPath: disk.path,
      diskFormat: (await examineImage(disk.path)).format,
      manifest,
      targetPath: join(folder, `${target}.back`),
      outputFormat: 'raw',
      tools,
    });
    expect(reverted.remarks).toEqual([]);
    const back = await inspectDisk({ path: reverted.disk.path, tools });
    expect(back.kernelRoots).toEqual(['/dev/sda1']);
    for (const path of [disk.path, manifestPath, reverted.disk.path]) await rm(path);
  });
});

it('refuses a kind of image that the target does not take, before it writes one', async () => {
  await expect(convert('hyperv-gen2', 'vmdk')).rejects.toMatchObject({
    code: expect.stringMatching(/^TARGET_(FIRMWARE|IMAGE_KIND)_UNSUPPORTED$/),
  });
});

it('refuses what the target cannot run', async () => {
  await expect(convert('virtual-server-2005', 'vhd')).rejects.toMatchObject({
    code: 'TARGET_ARCHITECTURE_UNSUPPORTED',
    message: expect.stringMatching(/64|x86_64/),
  });
});
