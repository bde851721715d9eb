export { examineImage } from './examine-image';
export type { ExamineImageOptions } from './examine-image';
export { IMAGE_FORMATS } from './image-format';
export type {
  ImageContent,
  ImageExamination,
  ImageFile,
  ImageFormat,
  ImageSubformat,
  SubformatOf,
} from './image-format';
export { unpackImage } from './unpack-image';
export type { UnpackImageOptions } from './unpack-image';
export { writeImage } from './write-image';
export type { WriteImageOptions, WrittenImageFiles } from './write-image';
export { WRITTEN_KINDS, WRITTEN_KIND_NAMES } from './written-kinds';
export type { WrittenKind, WrittenKindName } from './written-kinds';
export type { OvaMachine, OvaNic } from './ova/describe-machine';
export type { VmdkAdapter } from './vmdk/stream-writer';
