import { createHash } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import type { EditableVolume } from '../file-system/editable-volume';
import { Scratch } from '../file-system/scratch';
import { readDeviceNames } from '../guest/device-names';
import { readNicRules } from '../guest/network-names';
import type { OpenGuest } from '../guest/open-guest';
import type { DiskFormat } from '../image/disk-format';
import { copyAsRaw } from '../image/raw-disk';
import { targetError } from '../image/sparse-copy';
import { ExtGuestFiles } from '../guest/ext-guest-files';
import { EditableGuest } from './editable-guest';
import { ConversionManifest } from './manifest';
import { expectWholeClone, mendClone, openClone } from './open-clone';
import type { ConversionStep, NicMapping } from './step';
import { bootDrivers } from './steps/boot-drivers';
import { lastingDrivers } from './steps/lasting-drivers';
import { networkNames } from './steps/network-names';
import { stableBoot } from './steps/stable-boot';
import { stableMounts } from './steps/stable-mounts';

export interface ConvertDiskOptions {
  readonly sourcePath: string;
  readonly sourceFormat: DiskFormat;
  /** A file that is not there yet. It becomes a raw disk; beside it `<targetPath>.manifest.json` appears. */
  readonly targetPath: string;
  readonly target: 'kvm-virtio';
  /** Addresses that change. The others that the guest's own rules name are kept as they are. */
  readonly nics?: readonly NicMapping[];
  readonly tools: HostTools;
  readonly onProgress?: (text: string, fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface Conversion {
  readonly disk: { readonly path: string; readonly format: 'raw' };
  readonly manifestPath: string;
  readonly manifest: ConversionManifest;
  readonly steps: readonly { readonly name: string; readonly summary: string }[];
  /** What the first NIC of the target should have, so that the guest gives it its old name. */
  readonly mac: string;
}

/** In this order: the last one carries what the others changed into the initramfs. */
const STEPS: readonly { readonly step: ConversionStep; readonly text: string }[] = [
  { step: stableMounts, text: 'naming the mounts so that they stay' },
  { step: stableBoot, text: 'naming the root so that it stays' },
  { step: networkNames, text: 'keeping the names of the NICs' },
  { step: lastingDrivers, text: 'keeping the drivers for later kernels' },
  { step: bootDrivers, text: 'adding the virtio drivers' },
];
const COPY_SHARE = 0.7;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

export function manifestPathOf(diskPath: string): string {
  return `${diskPath}.manifest.json`;
}

/**
 * Makes a clone of a disk that boots on the target's virtual hardware, and a manifest of how to undo it. The
 * source is only read. When it rejects (DiskUnusable, a host tool's error, or the reason of an abort) neither
 * clone nor manifest is there.
 */
export async function convertDisk(options: ConvertDiskOptions): Promise<Conversion> {
  const { targetPath, onProgress = () => undefined, signal } = options;
  const manifestPath = manifestPathOf(targetPath);
  const partialPath = `${targetPath}.partial`;
  const given = options.nics && normalNics(options.nics);
  await refuseExisting(targetPath);
  const scratch = await Scratch.make();
  try {
    // Left by a run that was killed: without the disk none of them counts.
    for (const path of [partialPath, `${partialPath}.partition`, manifestPath])
      await rm(path, { force: true });
    onProgress('cloning the disk', 0);
    await copyAsRaw({
      ...options,
      format: options.sourceFormat,
      targetPath: partialPath,
      scratch,
      onProgress: (fraction) => onProgress('cloning the disk', fraction * COPY_SHARE),
    });
    const clone = { diskPath: partialPath, tools: options.tools, scratch, signal };
    onProgress('checking the file systems', COPY_SHARE);
    await mendClone(clone);
    const opened = await openClone(clone);
    const { manifest, mac } = await adjust(opened, given, options, onProgress);
    onProgress('checking the result', 0.95);
    await expectWholeClone(clone);
    signal?.throwIfAborted();
    await writeDurably(manifestPath, `${JSON.stringify(manifest, undefined, 1)}\n`);
    await syncFile(partialPath);
    await rename(partialPath, targetPath);
    onProgress('converted', 1);
    return { disk: { path: targetPath, format: 'raw' }, manifestPath, manifest, steps: manifest.steps, mac };
  } catch (error) {
    for (const path of [partialPath, manifestPath]) await rm(path, { force: true });
    throw targetError(error, targetPath);
  } finally {
    await scratch.remove();
  }
}

async function adjust(
  opened: OpenGuest<EditableVolume>,
  given: readonly NicMapping[] | undefined,
  { tools, target, signal }: ConvertDiskOptions,
  onProgress: (text: string, fraction: number) => void,
): Promise<{ manifest: ConversionManifest; mac: string }> {
  const guest = new EditableGuest(new ExtGuestFiles(opened.tree));
  const uuid = opened.rootPartition.uuid ?? '';
  const nics = await allNics(opened, given ?? [], uuid);
  const devices = await readDeviceNames(opened.tree, opened.partitions);
  const steps: { name: string; summary: string }[] = [];
  for (const [index, { step, text }] of STEPS.entries()) {
    signal?.throwIfAborted();
    onProgress(text, COPY_SHARE + 0.05 + (0.2 * index) / STEPS.length);
    const summary = await step.run({ guest, devices, nics, tools, signal });
    if (summary !== undefined) steps.push({ name: step.name, summary: summary.slice(0, 2000) });
  }
  const manifest = ConversionManifest.parse({
    kind: 'watari-conversion',
    version: 1,
    target,
    convertedAt: new Date().toISOString(),
    rootFileSystemUuid: uuid,
    steps,
    nics: [...nics],
    changes: guest.changes(),
  } satisfies ConversionManifest);
  return { manifest, mac: nics[0]?.newMac ?? addressFrom(uuid) };
}

/** What was given, and the other addresses that the guest binds names to; else one of our own, the same for the same disk. */
async function allNics(
  opened: OpenGuest<EditableVolume>,
  given: readonly NicMapping[],
  uuid: string,
): Promise<NicMapping[]> {
  const isGiven = (mac: string): boolean => given.some(({ oldMac }) => oldMac === mac);
  const others = (await readNicRules(opened.tree)).map(({ mac }) => mac).filter((mac) => !isGiven(mac));
  const nics = [...given, ...others.map((mac) => ({ oldMac: mac, newMac: mac }))];
  const own = addressFrom(uuid);
  return nics.length > 0 ? nics : [{ oldMac: own, newMac: own }];
}

/** An address below the prefix that QEMU uses. */
function addressFrom(uuid: string): string {
  const hash = createHash('sha256').update(uuid).digest('hex');
  return `52:54:00:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}`;
}

function normalNics(nics: readonly NicMapping[]): NicMapping[] {
  return nics.map(({ oldMac, newMac }) => {
    const normal = { oldMac: oldMac.toLowerCase(), newMac: newMac.toLowerCase() };
    for (const mac of Object.values(normal))
      if (!MAC.test(mac))
        throw new DiskUnusable(
          'DISK_NETWORK_UNSUPPORTED',
          `${JSON.stringify(mac)} is no address of a NIC. Give it as six pairs, such as 52:54:00:12:34:56.`,
        );
    return normal;
  });
}

async function refuseExisting(path: string): Promise<void> {
  const isThere = await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw targetError(error, path);
    },
  );
  if (isThere) throw targetError(Object.assign(new Error('exists'), { code: 'EEXIST' }), path);
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
