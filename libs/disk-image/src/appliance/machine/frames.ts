import { ApplianceError } from '../errors';

/**
 * Frames of the channel to the appliance, in both directions:
 *
 *     32 bits  length of the JSON, big-endian
 *     32 bits  length of the bytes behind it
 *     JSON, then bytes as they are
 */
export interface Frame {
  readonly json: unknown;
  readonly payload: Buffer;
}

const HEADER_BYTES = 8;
export const REQUEST_BYTES_MAX = 1024 * 1024;
export const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
export const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

export function encodeFrame({ json, payload }: Frame): Buffer[] {
  const text = Buffer.from(JSON.stringify(json));
  if (text.length > REQUEST_BYTES_MAX || payload.length > PAYLOAD_BYTES_MAX)
    throw new RangeError(`A request of ${text.length} and ${payload.length} bytes is too long.`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(text.length, 0);
  header.writeUInt32BE(payload.length, 4);
  return [header, text, payload];
}

/** Puts frames together from what arrives. What the appliance says is not trusted: every length has a limit. */
export class FrameDecoder {
  private chunks: Buffer[] = [];
  private bytes = 0;
  private wantedBytes = HEADER_BYTES;

  /** The frames that are whole now. Throws APPLIANCE_ANSWER_INVALID. */
  push(chunk: Buffer): Frame[] {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    const frames: Frame[] = [];
    // Joined only when something may be whole, so that a long frame in many pieces is copied once.
    while (this.bytes >= this.wantedBytes) {
      const all = this.chunks.length === 1 ? (this.chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.chunks);
      this.chunks = [all];
      const [textBytes, payloadBytes] = [all.readUInt32BE(0), all.readUInt32BE(4)];
      if (textBytes > ANSWER_BYTES_MAX || payloadBytes > PAYLOAD_BYTES_MAX)
        throw invalid(`a frame of ${textBytes} and ${payloadBytes} bytes`);
      const end = HEADER_BYTES + textBytes + payloadBytes;
      if (all.length < end) {
        this.wantedBytes = end;
        break;
      }
      const text = all.toString('utf8', HEADER_BYTES, HEADER_BYTES + textBytes);
      // A copy, so that a short payload does not hold a long chunk.
      const payload = Buffer.from(all.subarray(HEADER_BYTES + textBytes, end));
      frames.push({ json: parse(text), payload });
      this.chunks = [all.subarray(end)];
      this.bytes = all.length - end;
      this.wantedBytes = HEADER_BYTES;
    }
    return frames;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid('a frame that is no JSON', cause);
  }
}

export function invalid(what: string, cause?: unknown): ApplianceError {
  return new ApplianceError(
    'APPLIANCE_ANSWER_INVALID',
    `The appliance answered with ${what}. The disk may be made to mislead it; it was stopped, and nothing else was touched.`,
    cause === undefined ? {} : { cause },
  );
}
