import type { OpenedFile } from '../image/byte-source';
import type { ImageFile } from './image-format';

/** What is told of a file of an image. */
export function fileOf(
  path: string,
  role: ImageFile['role'],
  { sizeBytes, allocatedBytes, modifiedAtMs }: OpenedFile,
): ImageFile {
  return { path, role, sizeBytes, allocatedBytes, modifiedAtMs };
}
