/**
 * The memory behind these bytes, if they are all that is in it: then it can change hands. Of a part of a larger buffer
 * nothing can, and the bytes are copied.
 */
export function wholeBuffers(bytes: Uint8Array): ArrayBuffer[] {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength ? [buffer] : [];
}
