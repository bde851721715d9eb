export { convertDisk, manifestPathOf } from './conversion/convert-disk';
export type { Conversion, ConvertDiskOptions } from './conversion/convert-disk';
export { convertImage, revertImage } from './conversion/convert-image';
export type {
  ConvertImageOptions,
  ImageConversion,
  ImageReversion,
  RevertImageOptions,
  WrittenImage,
} from './conversion/convert-image';
export { ConversionManifest, readManifest } from './conversion/manifest';
export { revertDisk } from './conversion/revert-disk';
export type { Reversion, RevertDiskOptions } from './conversion/revert-disk';
export type { NicMapping } from './conversion/step';
export { DiskUnusable } from './errors';
export type { DiskErrorCode } from './errors';
export { copyDisk } from './copy-disk';
export type { CopyDiskOptions, DiskCopy } from './copy-disk';
export { inspectDisk } from './inspect-disk';
export type { DiskInspection, InspectDiskOptions } from './inspect-disk';
export { detectFormat } from './image/disk-format';
export type { DiskFormat } from './image/disk-format';
export { OUTPUT_FORMATS, OUTPUT_KINDS } from './image/output-format';
export type { OutputFormat, OutputKind } from './image/output-format';
export { ApplianceError } from './appliance/errors';
export type { ApplianceErrorCode } from './appliance/errors';
export type { ApplianceRoute } from './guest/read-guest';
