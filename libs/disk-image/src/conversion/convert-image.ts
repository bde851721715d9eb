import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OutputPlace, nameOf } from '../image/output-place';
import {
  type OvaMachine,
  type WriteImageOptions,
  writeImage,
  WRITTEN_KIND_NAMES,
  type WrittenKindName,
} from '../formats';
import { targetError } from '../image/sparse-copy';
import { machineTarget } from './target-machine';
import { type Conversion, type ConvertDiskOptions, convertDisk, manifestPathOf } from './convert-disk';
import { type RevertDiskOptions, type Reversion, revertDisk } from './revert-disk';

/** Kinds of images that a conversion ends in: those that are files. */
export const OUTPUT_FORMATS: readonly OutputFormat[] = WRITTEN_KIND_NAMES.filter((name) => name !== 'ploop');
export type OutputFormat = Exclude<WrittenKindName, 'ploop'>;

/** How the finished disk is to be written. */
export interface ImageOutput {
  readonly outputFormat: OutputFormat;
  /** Files that are there are replaced, once the new ones are whole. */
  readonly mayReplace?: boolean;
}

export interface ConvertImageOptions extends ConvertDiskOptions, ImageOutput {
  /** Default: `<targetPath>.manifest.json`. */
  readonly manifestPath?: string;
  /** What the machine of an OVA has; default 2 processors and 2 GiB. */
  readonly machine?: Pick<OvaMachine, 'cpuCount' | 'memoryMib'>;
}

export interface WrittenImage {
  readonly disk: { readonly path: string; readonly format: OutputFormat };
  /** All files of the image; kinds of one file have one. */
  readonly files: readonly string[];
}

export type ImageConversion = Omit<Conversion, 'disk'> & WrittenImage;
export type ImageReversion = Omit<Reversion, 'disk'> & WrittenImage;

export interface RevertImageOptions extends RevertDiskOptions, ImageOutput {
  readonly targetPath: string;
}

/** The guest's part of the work; the rest is writing the image. */
const GUEST_SHARE = { raw: 1, other: 0.6 } as const;

/**
 * `convertDisk`, with the result as an image of any kind and nothing of it visible before all of it is whole.
 * The source is only read. When it rejects, what had been made is gone.
 */
export async function convertImage(options: ConvertImageOptions): Promise<ImageConversion> {
  const { targetPath, sourcePath, manifestPath = manifestPathOf(targetPath) } = options;
  const place = await OutputPlace.open({
    paths: [targetPath, manifestPath],
    sources: [sourcePath],
    mayReplace: options.mayReplace ?? false,
  });
  try {
    const rawPath = place.inside('disk');
    const converted = await convertDisk({
      ...options,
      targetPath: rawPath,
      imageKind: options.outputFormat,
      onProgress: guestProgress(options),
    });
    const { vmdkAdapter } = machineTarget(options.target);
    const files = await writeOut(place, rawPath, {
      ...options,
      ...(vmdkAdapter && { vmdkAdapter }),
      machine: options.outputFormat === 'ova' ? ovaMachine(options, converted) : undefined,
    });
    await place.publish([...files, { from: converted.manifestPath, to: manifestPath }]);
    options.onProgress?.('written', 1);
    return { ...converted, ...told(options, files), manifestPath };
  } catch (error) {
    throw targetError(error, targetPath);
  } finally {
    await place.close();
  }
}

/** `revertDisk` into an image of any kind; see `convertImage`. */
export async function revertImage(options: RevertImageOptions): Promise<ImageReversion> {
  const { targetPath, diskPath } = options;
  const mayReplace = options.mayReplace ?? false;
  // The disk itself may be what is replaced: it is whole until the reverted one takes its name.
  const sources = mayReplace ? [] : [diskPath];
  const place = await OutputPlace.open({ paths: [targetPath], sources, mayReplace });
  try {
    const rawPath = place.inside('disk');
    const reverted = await revertDisk({
      ...options,
      targetPath: rawPath,
      onProgress: guestProgress(options),
    });
    const files = await writeOut(place, rawPath, options);
    await place.publish(files);
    options.onProgress?.('written', 1);
    return { ...reverted, ...told(options, files) };
  } catch (error) {
    throw targetError(error, targetPath);
  } finally {
    await place.close();
  }
}

type Progress = (text: string, fraction: number) => void;
type Finished = readonly { readonly from: string; readonly to: string }[];
interface Wanted extends ImageOutput, Pick<WriteImageOptions, 'vmdkAdapter'> {
  /** Of an OVA. */
  readonly machine?: OvaMachine | undefined;
  readonly targetPath: string;
  readonly onProgress?: Progress;
}

function guestProgress({ outputFormat, onProgress }: Pick<Wanted, 'outputFormat' | 'onProgress'>): Progress {
  const share = outputFormat === 'raw' ? GUEST_SHARE.raw : GUEST_SHARE.other;
  return (text, fraction) => onProgress?.(text, fraction * share);
}

function told(
  { outputFormat, targetPath }: Pick<Wanted, 'outputFormat' | 'targetPath'>,
  files: Finished,
): WrittenImage {
  return { disk: { path: targetPath, format: outputFormat }, files: files.map(({ to }) => to) };
}

/** Says which finished files go where. */
async function writeOut(
  place: OutputPlace,
  rawPath: string,
  options: Wanted & Pick<ConvertDiskOptions, 'tools' | 'signal'>,
): Promise<Finished> {
  const { outputFormat, targetPath, tools, signal, onProgress } = options;
  if (outputFormat === 'raw') {
    const from = place.inside('whole');
    await rename(rawPath, from);
    return [{ from, to: targetPath }];
  }
  const folder = place.inside('image');
  const { names } = await writeImage({
    source: { path: rawPath, format: 'raw' },
    kind: outputFormat,
    folder,
    name: nameOf(targetPath),
    tools,
    ...(options.vmdkAdapter && { vmdkAdapter: options.vmdkAdapter }),
    ...(options.machine && { machine: options.machine }),
    ...(signal && { signal }),
    onProgress: (fraction) =>
      onProgress?.(
        `writing the ${outputFormat} image`,
        GUEST_SHARE.other + (1 - GUEST_SHARE.other) * fraction,
      ),
  });
  await rm(rawPath, { force: true });
  return names.map((name, index) => ({
    from: join(folder, name),
    to: index === 0 ? targetPath : join(dirname(targetPath), name),
  }));
}

/** VMware's names of what the target has. */
const DISK_CONTROLLERS: Readonly<Record<string, OvaMachine['diskController']>> = {
  pvscsi: 'pvscsi',
  'lsi-sas': 'lsilogicsas',
};
const NIC_MODELS: Readonly<Record<string, OvaMachine['nicModel']>> = { vmxnet3: 'vmxnet3', e1000e: 'e1000e' };
const DEFAULT_MACHINE = { cpuCount: 2, memoryMib: 2048 };
/** Whoever imports the machine chooses the network that this stands for. */
const NETWORK = 'VM Network';

function ovaMachine({ targetPath, target, machine }: ConvertImageOptions, converted: Conversion): OvaMachine {
  const { disk, nic } = machineTarget(target);
  return {
    ...DEFAULT_MACHINE,
    ...machine,
    name: nameOf(targetPath).replace(/\.ova$/i, ''),
    firmware: converted.firmware === 'uefi' ? 'uefi' : 'bios',
    diskController: DISK_CONTROLLERS[disk.bus] ?? 'ide',
    nicModel: NIC_MODELS[nic.model] ?? 'e1000',
    nics: converted.manifest.nics.map(({ newMac }) => ({ network: NETWORK, mac: newMac })),
  };
}
