import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { type PhysicalServer, buildPhysicalServer } from '@watari/physical-server';
import { EditableGuest } from '../conversion/editable-guest';
import type { ConversionManifest } from '../conversion/manifest';
import { expectWholeClone, mendClone, openClone } from '../conversion/open-clone';
import { revertDisk } from '../conversion/revert-disk';
import { Scratch } from '../file-system/scratch';
import { deviceNames } from '../guest/device-names';
import { ExtGuestFiles } from '../guest/ext-guest-files';
import { INITRAMFS_BYTES_MAX } from '../guest/kernels';
import { copyAsRaw } from '../image/raw-disk';
import { adjustGuest } from './adjust-guest';
import type { StepOutcome } from './plan-adjustments';
import { readMovedDisks } from './storage/moved-disks';
import { TARGET } from './testing/carry-out';

jest.setTimeout(300_000);

const tools = createHostTools();
const OTHER_MAC = '52:54:00:0d:0e:0f';
let folder: string;
let server: PhysicalServer;
let manifest: ConversionManifest;
let clonePath: string;
let outcomes: readonly StepOutcome[];

const scratches: Scratch[] = [];

/** Only reads, as long as nobody writes to the files. */
async function filesOf(diskPath: string) {
  const scratch = await Scratch.make();
  scratches.push(scratch);
  const opened = await openClone({ diskPath, tools, scratch });
  return { ...opened, files: new ExtGuestFiles(opened.tree), uuid: opened.rootPartition.uuid ?? '' };
}

async function adjust(diskPath: string) {
  const { files, partitions, tree, uuid } = await filesOf(diskPath);
  const guest = new EditableGuest(files);
  const adjusted = await adjustGuest({
    guest,
    tools,
    devices: deviceNames(partitions, await readMovedDisks(tree)),
    nics: [{ oldMac: server.hardware.mac, newMac: OTHER_MAC }],
    target: TARGET,
  });
  return { adjusted, guest, uuid };
}

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'dumpe2fs', 'qemu-system-x86_64']);
  server = await buildPhysicalServer({ tools });
  folder = await mkdtemp(join(tmpdir(), 'disk-image-adjust-'));
  clonePath = join(folder, 'guest.raw');
  const scratch = await Scratch.make();
  scratches.push(scratch);
  await copyAsRaw({
    sourcePath: server.diskPath,
    format: server.format,
    targetPath: clonePath,
    tools,
    scratch,
    onProgress: () => undefined,
  });
  await mendClone({ diskPath: clonePath, tools, scratch });
  const { adjusted, guest, uuid } = await adjust(clonePath);
  ({ outcomes } = adjusted);
  await expectWholeClone({ diskPath: clonePath, tools, scratch });
  manifest = {
    kind: 'watari-conversion',
    version: 1,
    target: 'kvm-virtio',
    convertedAt: new Date().toISOString(),
    rootFileSystemUuid: uuid,
    steps: [...adjusted.steps],
    leftUndone: [],
    nics: [{ oldMac: server.hardware.mac, newMac: OTHER_MAC }],
    changes: guest.changes(),
  };
}, 1_800_000);

afterAll(async () => {
  for (const scratch of scratches) await scratch.remove();
  if (folder) await rm(folder, { recursive: true, force: true });
});

describe('all adjustments of a real server', () => {
  it('leave nothing undone that counts for it', () => {
    expect(outcomes.flatMap(({ leftUndone }) => leftUndone)).toEqual([]);
    expect(outcomes.filter(({ edits }) => edits.length > 0).map(({ name }) => name)).toEqual([
      'stable-storage',
      'boot-loaders',
      'keep-nics',
      'guest-agent-on',
      'boot-drivers',
    ]);
  });

  it('change nothing when they are made again', async () => {
    const { adjusted } = await adjust(clonePath);
    expect(adjusted.outcomes.flatMap(({ edits }) => edits.map(({ path }) => path))).toEqual([]);
  });

  it('are taken back to the bytes that were there', async () => {
    const targetPath = join(folder, 'reverted.raw');
    const { remarks } = await revertDisk({ diskPath: clonePath, manifest, targetPath, tools });
    expect(remarks).toEqual([]);
    const [source, reverted] = [await filesOf(server.diskPath), await filesOf(targetPath)];
    for (const { path, kind } of manifest.changes) {
      const read = (files: ExtGuestFiles) => files.read(path, INITRAMFS_BYTES_MAX);
      const [was, is] = [await read(source.files), await read(reverted.files)];
      expect([path, kind, is?.equals(was ?? Buffer.alloc(0))]).toEqual([
        path,
        kind,
        kind === 'created' || kind === 'directory-made' ? undefined : true,
      ]);
    }
    expect(manifest.changes.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['replaced', 'created', 'appended']),
    );
  });
});
