import { createHash } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../errors';
import { Scratch } from '../file-system/scratch';
import { type AdjustNic, adjustGuest, readGuestSystem, readMovedDisks, readServerMacs } from '../adjust';
import { deviceNames } from '../guest/device-names';
import { type ChangeableGuest, editGuest } from '../guest/edit-guest';
import type { GuestReader } from '../guest/guest-files';
import type { ApplianceRoute } from '../guest/read-guest';
import { examineImage, type ImageFormat, unpackImage, type WrittenKindName } from '../formats';
import type { Firmware } from '../guest/firmware';
import { targetError } from '../image/sparse-copy';
import { EditableGuest } from './editable-guest';
import { ConversionManifest, LEFT_UNDONE_MAX } from './manifest';
import type { MachineTargetName } from './machine-targets';
import type { NicMapping } from './nic-mapping';
import { machineTarget, requireFit, targetMachine } from './target-machine';

export interface ConvertDiskOptions {
  readonly sourcePath: string;
  readonly sourceFormat: ImageFormat;
  /** What the disk will be written as; where the target does not take it, the disk is refused. */
  readonly imageKind?: WrittenKindName;
  /** A file that is not there yet. It becomes a raw disk; beside it `<targetPath>.manifest.json` appears. */
  readonly targetPath: string;
  readonly target: MachineTargetName;
  /** Addresses that change. The others that the guest's own rules name are kept as they are. */
  readonly nics?: readonly NicMapping[];
  /** The guest gets the target's agent from its own package sources once it runs there; default true. */
  readonly installAgent?: boolean;
  /** Also opens XFS, btrfs, LVM, RAID and, with a key, LUKS; without it they are refused. */
  readonly appliance?: ApplianceRoute;
  readonly tools: HostTools;
  readonly onProgress?: (text: string, fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface Conversion {
  readonly disk: { readonly path: string; readonly format: 'raw' };
  readonly manifestPath: string;
  readonly manifest: ConversionManifest;
  readonly steps: readonly { readonly name: string; readonly summary: string }[];
  /** By which the disk starts, here and there. */
  readonly firmware: Firmware;
  /** What the first NIC of the target should have, so that the guest gives it its old name. */
  readonly mac: string;
}

const COPY_SHARE = 0.7;
/** As many as a manifest holds. */
const NICS_MAX = 64;
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
    await unpackImage({
      examination: await examineImage(options.sourcePath, { format: options.sourceFormat }),
      targetPath: partialPath,
      tools: options.tools,
      onProgress: (fraction) => onProgress('cloning the disk', fraction * COPY_SHARE),
      ...(signal && { signal }),
    });
    let reached = COPY_SHARE;
    const told = (text: string, fraction = reached): void => onProgress(text, (reached = fraction));
    const { manifest, mac, firmware } = await editGuest(
      {
        diskPath: partialPath,
        tools: options.tools,
        scratch,
        appliance: options.appliance,
        onProgress: told,
        signal,
      },
      (guest) => adjust(guest, given, options, told),
    );
    signal?.throwIfAborted();
    await writeDurably(manifestPath, `${JSON.stringify(manifest, undefined, 1)}\n`);
    await syncFile(partialPath);
    await rename(partialPath, targetPath);
    onProgress('converted', 1);
    return {
      disk: { path: targetPath, format: 'raw' },
      manifestPath,
      manifest,
      steps: manifest.steps,
      mac,
      firmware,
    };
  } catch (error) {
    for (const path of [partialPath, manifestPath]) await rm(path, { force: true });
    throw targetError(error, targetPath);
  } finally {
    await scratch.remove();
  }
}

async function adjust(
  { files, partitions, rootFileSystemUuid: uuid, firmware, isWritableName, virtualBytes }: ChangeableGuest,
  given: readonly NicMapping[] | undefined,
  options: ConvertDiskOptions,
  onProgress: (text: string, fraction: number) => void,
): Promise<Pick<Conversion, 'manifest' | 'mac' | 'firmware'>> {
  const { tools, target, signal } = options;
  const guest = new EditableGuest(files);
  const system = await readGuestSystem(files);
  const own = ownAddress(target, uuid);
  const nics = await allNics(files, given ?? [], own);
  const remarks = await requireFit(target, files, {
    system,
    firmware,
    virtualBytes,
    nicCount: nics.length,
    imageKind: options.imageKind,
  });
  const adjusted = await adjustGuest({
    guest,
    devices: deviceNames(partitions, await readMovedDisks(files)),
    nics,
    target: targetMachine(target, {
      firmware: firmware === 'uefi' ? 'uefi' : 'bios',
      installsAgent: options.installAgent ?? true,
    }),
    tools,
    onProgress: (text, fraction) => onProgress(text, COPY_SHARE + 0.05 + 0.2 * fraction),
    isWritableName: isWritableName ?? (() => true),
    ...(signal && { signal }),
  });
  const steps = [
    ...(remarks.length > 0 ? [{ name: 'target-check', summary: remarks.join(' ').slice(0, 2000) }] : []),
    ...adjusted.steps,
  ];
  const manifest = ConversionManifest.parse({
    kind: 'watari-conversion',
    version: 1,
    target,
    convertedAt: new Date().toISOString(),
    rootFileSystemUuid: uuid,
    steps,
    leftUndone: adjusted.outcomes
      .flatMap(({ name, leftUndone }) =>
        leftUndone.map(({ subject, reason }) => ({
          step: name,
          subject: subject.slice(0, 4096),
          reason: reason.slice(0, 4096),
        })),
      )
      .slice(0, LEFT_UNDONE_MAX),
    nics: [...nics],
    changes: guest.changes(),
  } satisfies ConversionManifest);
  return { manifest, mac: nics[0]?.newMac ?? own, firmware };
}

/** What was given, and the other addresses that the guest binds names to; else one of our own, the same for the same disk. */
async function allNics(files: GuestReader, given: readonly NicMapping[], own: string): Promise<AdjustNic[]> {
  const isGiven = (mac: string): boolean => given.some(({ oldMac }) => oldMac === mac);
  const others = (await readServerMacs(files)).filter((mac) => !isGiven(mac));
  const nics = [...given, ...others.slice(0, NICS_MAX).map((mac) => ({ oldMac: mac, newMac: mac }))];
  return nics.length > 0 ? nics : [{ oldMac: own, newMac: own }];
}

/** An address below the prefix that the platform uses, the same for the same disk. */
function ownAddress(target: MachineTargetName, uuid: string): string {
  const hash = createHash('sha256').update(uuid).digest('hex');
  return `${machineTarget(target).nic.macPrefix}:${hash.slice(0, 2)}:${hash.slice(2, 4)}:${hash.slice(4, 6)}`;
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
