import { AgentError } from '../errors';

/** What a target says in a frame of type `applied`. */
export interface Applied {
  /** The last frame whose content went to QEMU. */
  readonly sequence: number;
  /** Bytes of stream that QEMU has taken. */
  readonly streamBytes: number;
  /** The target let the link wait because it could not keep up: what crosses then says nothing of the link. */
  readonly isTargetSlow: boolean;
}

const PAYLOAD_BYTES = 8 + 8 + 1;

export function encodeApplied({ sequence, streamBytes, isTargetSlow }: Applied): Uint8Array {
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  payload.writeBigUInt64BE(BigInt(sequence), 0);
  payload.writeBigUInt64BE(BigInt(streamBytes), 8);
  payload.writeUInt8(isTargetSlow ? 1 : 0, 16);
  return payload;
}

/** Throws LINK_FRAME_UNEXPECTED. */
export function decodeApplied(payload: Uint8Array): Applied {
  if (payload.length !== PAYLOAD_BYTES)
    throw new AgentError(
      'LINK_FRAME_UNEXPECTED',
      `The target said in ${payload.length} bytes what it has applied; ${PAYLOAD_BYTES} were agreed.`,
    );
  const view = new DataView(payload.buffer, payload.byteOffset, PAYLOAD_BYTES);
  return {
    sequence: Number(view.getBigUint64(0)),
    streamBytes: Number(view.getBigUint64(8)),
    isTargetSlow: view.getUint8(16) !== 0,
  };
}
