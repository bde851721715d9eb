const LEGACY_MAGIC = 0x184c2102;
const MATCH_BYTES_MIN = 4;
/** A block holds up to 8 MiB. */
const BLOCK_BYTES_MAX = 8 * 1024 * 1024;

/** Unpacks lz4's legacy format between two offsets. Throws RangeError where the stream is broken or too large. */
export function unpackLz4(buffer: Buffer, start: number, end: number, bytesMax: number): Buffer {
  const blocks: Buffer[] = [];
  const room = Buffer.alloc(Math.min(BLOCK_BYTES_MAX, bytesMax));
  let total = 0;
  for (let at = start; at + 4 <= end;) {
    const sizeBytes = buffer.readUInt32LE(at);
    at += 4;
    if (sizeBytes === LEGACY_MAGIC) continue;
    const roomLeft = room.subarray(0, Math.min(room.length, bytesMax - total));
    const block = Buffer.from(unpackBlock(buffer.subarray(at, Math.min(at + sizeBytes, end)), roomLeft));
    blocks.push(block);
    total += block.length;
    at += sizeBytes;
  }
  return Buffer.concat(blocks);
}

/** Unpacks into `output`, and gives back the part of it that was filled. */
function unpackBlock(block: Buffer, output: Buffer): Buffer {
  let at = 0;
  let written = 0;
  const next = (): number => {
    const byte = block[at++];
    if (byte === undefined) throw new RangeError('the lz4 stream is cut off');
    return byte;
  };
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    if (nibble === 15) for (let byte = 255; byte === 255; length += byte) byte = next();
    return length;
  };
  while (at < block.length) {
    const token = next();
    const literals = lengthOf(token >> 4);
    if (at + literals > block.length || written + literals > output.length)
      throw new RangeError('the lz4 stream is broken');
    block.copy(output, written, at, at + literals);
    at += literals;
    written += literals;
    if (at >= block.length) break;
    const distance = next() | (next() << 8);
    const length = lengthOf(token & 15) + MATCH_BYTES_MIN;
    if (distance === 0 || distance > written || written + length > output.length)
      throw new RangeError('the lz4 stream is broken');
    // A match may overlap what it writes, so it goes byte by byte.
    for (let index = 0; index < length; index++, written++) output[written] = output[written - distance] ?? 0;
  }
  return output.subarray(0, written);
}
