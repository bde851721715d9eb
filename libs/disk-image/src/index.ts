export { convertDisk, manifestPathOf } from './conversion/convert-disk';
export type { Conversion, ConvertDiskOptions } from './conversion/convert-disk';
export { convertImage, OUTPUT_FORMATS, revertImage } from './conversion/convert-image';
export type {
  ConvertImageOptions,
  ImageConversion,
  ImageReversion,
  OutputFormat,
  RevertImageOptions,
  WrittenImage,
} from './conversion/convert-image';
export { MACHINE_TARGET_NAMES, type MachineTargetName } from './conversion/machine-targets';
export { TARGETS } from './targets';
export { ConversionManifest, readManifest } from './conversion/manifest';
export { revertDisk } from './conversion/revert-disk';
export type { Reversion, RevertDiskOptions } from './conversion/revert-disk';
export type { NicMapping } from './conversion/nic-mapping';
export { DiskUnusable } from './errors';
export type { DiskErrorCode } from './errors';
export { copyDisk } from './copy-disk';
export type { CopyDiskOptions, DiskCopy } from './copy-disk';
export { inspectDisk } from './inspect-disk';
export type { DiskInspection, InspectDiskOptions } from './inspect-disk';
export type { DiskFormat } from './image/disk-format';
export { examineImage, IMAGE_FORMATS, type ImageExamination, type ImageFormat } from './formats';
export { WRITTEN_KINDS, type WrittenKindName } from './formats';
export { ApplianceError } from './appliance/errors';
export type { ApplianceErrorCode } from './appliance/errors';
export type { ApplianceRoute } from './guest/read-guest';
