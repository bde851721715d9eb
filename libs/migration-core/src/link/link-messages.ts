import { PageWireError } from '../errors';

/*
 * Frames of a link's own, which are not numbered (sequence 0):
 *   hello        session:16 received:8    the first on each connection, from both sides
 *   acknowledge  received:8               all frames up to this one have come
 * `received` is the sequence up to which frames have come without a gap.
 */
export const SESSION_ID_BYTES = 16;
const HELLO_BYTES = SESSION_ID_BYTES + 8;
const ACKNOWLEDGE_BYTES = 8;

/** What each side says first on each connection. */
export interface Hello {
  /** Names the link for as long as it is, in hexadecimal; all zero from a side that does not know it (any more). */
  readonly sessionId: string;
  readonly receivedSequence: number;
}

export const UNKNOWN_SESSION = '0'.repeat(2 * SESSION_ID_BYTES);

export function encodeHello({ sessionId, receivedSequence }: Hello): Uint8Array {
  const payload = Buffer.alloc(HELLO_BYTES);
  payload.write(sessionId, 'hex');
  payload.writeBigUInt64BE(BigInt(receivedSequence), SESSION_ID_BYTES);
  return payload;
}

/** Throws LINK_HELLO_INVALID. */
export function decodeHello(payload: Uint8Array): Hello {
  if (payload.length !== HELLO_BYTES)
    throw new PageWireError(
      'LINK_HELLO_INVALID',
      `A hello of ${payload.length} bytes came; it has ${HELLO_BYTES}.`,
    );
  return {
    sessionId: Buffer.from(payload.subarray(0, SESSION_ID_BYTES)).toString('hex'),
    receivedSequence: sequenceAt(payload, SESSION_ID_BYTES),
  };
}

export function encodeAcknowledge(receivedSequence: number): Uint8Array {
  const payload = Buffer.alloc(ACKNOWLEDGE_BYTES);
  payload.writeBigUInt64BE(BigInt(receivedSequence));
  return payload;
}

/** Throws LINK_ACKNOWLEDGE_INVALID. */
export function decodeAcknowledge(payload: Uint8Array): number {
  if (payload.length !== ACKNOWLEDGE_BYTES)
    throw new PageWireError(
      'LINK_ACKNOWLEDGE_INVALID',
      `An acknowledgement of ${payload.length} bytes came.`,
    );
  return sequenceAt(payload, 0);
}

function sequenceAt(payload: Uint8Array, offset: number): number {
  const sequence = new DataView(payload.buffer, payload.byteOffset + offset, 8).getBigUint64(0);
  if (sequence > BigInt(Number.MAX_SAFE_INTEGER))
    throw new PageWireError('LINK_ACKNOWLEDGE_INVALID', `No link carries ${sequence} frames.`);
  return Number(sequence);
}
