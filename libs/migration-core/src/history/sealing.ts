import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { HistoryDescription } from './description';
import { ChunkLayout } from './layout';

/*
 * AES-256-GCM throughout (NIST SP 800-38D). Each history has a data key of its own, drawn at random, which exists on
 * disk only wrapped by the agent's key. Under a data key every nonce is used once: it names what it seals, and a
 * history is written once. Associated data ties each piece to its history, its layout and its place in it.
 *
 *   nonce   what 4 (1 chunk, 2 index), number 8
 */
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const DATA_KEY_BYTES = 32;
const OPENED_AT_ONCE_BYTES = 64 * 1024;
const PIECE = { chunk: 1, index: 2 } as const;
type Piece = keyof typeof PIECE;

export interface WrappedKey {
  readonly nonce: string;
  /** Ciphertext and tag, in hex. */
  readonly sealed: string;
}
export const WRAPPED_KEY_HEX_DIGITS = 2 * (DATA_KEY_BYTES + TAG_BYTES);
export const WRAP_NONCE_HEX_DIGITS = 2 * NONCE_BYTES;

/** Seals and opens the pieces of one history. */
export class HistorySeal {
  readonly #identity: Buffer;
  #dataKey: Buffer | null;

  private constructor(dataKey: Buffer, description: HistoryDescription) {
    this.#dataKey = dataKey;
    const { guestId, scope, historyId, chunkPages, blocks } = description;
    const layoutDigest = new ChunkLayout(blocks).digest().toString('hex');
    this.#identity = createHash('sha256')
      .update(JSON.stringify(['watari-history-1', guestId, scope, historyId, chunkPages, layoutDigest]))
      .digest();
  }

  static withNewKey(description: HistoryDescription): HistorySeal {
    return new HistorySeal(randomBytes(DATA_KEY_BYTES), description);
  }

  /** Null when the key was wrapped by another agent's key, or for another manifest. */
  static unwrap(
    agentKey: Uint8Array,
    wrapped: WrappedKey,
    manifestText: string,
    description: HistoryDescription,
  ): HistorySeal | null {
    const nonce = Buffer.from(wrapped.nonce, 'hex');
    const dataKey = open(agentKey, nonce, Buffer.from(manifestText), Buffer.from(wrapped.sealed, 'hex'));
    return dataKey && new HistorySeal(dataKey, description);
  }

  /** `manifestText` is all else that the manifest says; the key opens with that very text only. */
  wrap(agentKey: Uint8Array, manifestText: string): WrappedKey {
    const nonce = randomBytes(NONCE_BYTES);
    const sealed = Buffer.concat(seal(agentKey, nonce, Buffer.from(manifestText), [this.#key()]));
    return { nonce: nonce.toString('hex'), sealed: sealed.toString('hex') };
  }

  /** Ciphertext of the parts, end to end, and the tag. Each number is sealed once. */
  seal(piece: Piece, number: number, parts: readonly Uint8Array[]): Buffer[] {
    return seal(this.#key(), nonceOf(piece, number), this.#associated(piece, number), parts);
  }

  /**
   * Null when it is not, bit by bit, what was sealed as this piece of this history. The result lies in `into`, where
   * given, which is long enough for it; else in memory of its own.
   */
  open(piece: Piece, number: number, sealed: Uint8Array, into?: Uint8Array): Buffer | null {
    return open(this.#key(), nonceOf(piece, number), this.#associated(piece, number), sealed, into);
  }

  /** Forgets the data key; nothing can be sealed or opened any more. */
  destroy(): void {
    this.#dataKey?.fill(0);
    this.#dataKey = null;
  }

  #key(): Buffer {
    if (!this.#dataKey) throw new Error('A history was used after it was closed.');
    return this.#dataKey;
  }

  #associated(piece: Piece, number: number): Buffer {
    return Buffer.concat([this.#identity, nonceOf(piece, number)]);
  }
}

function nonceOf(piece: Piece, number: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32BE(PIECE[piece], 0);
  nonce.writeBigUInt64BE(BigInt(number), 4);
  return nonce;
}

function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  parts: readonly Uint8Array[],
): Buffer[] {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated);
  const pieces = parts.map((part) => cipher.update(part));
  cipher.final();
  return [...pieces, cipher.getAuthTag()];
}

function open(
  key: Uint8Array,
  nonce: Uint8Array,
  associated: Uint8Array,
  sealed: Uint8Array,
  into: Uint8Array = Buffer.allocUnsafeSlow(Math.max(0, sealed.length - TAG_BYTES)),
): Buffer | null {
  if (sealed.length < TAG_BYTES) return null;
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plainBytes = sealed.length - TAG_BYTES;
  // Piece by piece: Node makes a buffer for each, and small ones stay in the processor's cache.
  for (let at = 0; at < plainBytes; at += OPENED_AT_ONCE_BYTES)
    into.set(decipher.update(sealed.subarray(at, Math.min(plainBytes, at + OPENED_AT_ONCE_BYTES))), at);
  const plain = Buffer.from(into.buffer, into.byteOffset, plainBytes);
  try {
    decipher.final();
  } catch {
    // Node tells a wrong tag by an error without a code; nothing else can fail here.
    return null;
  }
  return plain;
}
