import { PAGE_BYTES } from '../qemu-stream';

/** What is known of a page. */
export const PRESENCE = { unknown: 0, zero: 1, held: 2 } as const;

/** One byte per page in memory, two bits per page in the file. */
export function packPresence(presence: Uint8Array): Uint8Array {
  const packed = new Uint8Array(packedPresenceBytes(presence.length));
  for (let page = 0; page < presence.length; page += 1)
    packed[page >> 2] = packed[page >> 2]! | (presence[page]! << ((page & 3) * 2));
  return packed;
}

/** Null when it holds a value that there is not. */
export function unpackPresence(packed: Uint8Array, pageCount: number): Uint8Array | null {
  const presence = new Uint8Array(pageCount);
  for (let page = 0; page < pageCount; page += 1) {
    const value = (packed[page >> 2]! >> ((page & 3) * 2)) & 3;
    if (value > PRESENCE.held) return null;
    presence[page] = value;
  }
  return presence;
}

export function packedPresenceBytes(pageCount: number): number {
  return (pageCount + 3) >> 2;
}

/** Pages that are held, and pages that are zero. Throws RangeError for a value that there is not. */
export function countPresence(presence: Uint8Array): { readonly held: number; readonly zero: number } {
  let held = 0;
  let zero = 0;
  for (const value of presence) {
    if (value === PRESENCE.held) held += 1;
    else if (value === PRESENCE.zero) zero += 1;
    else if (value !== PRESENCE.unknown) throw new RangeError(`${value} says nothing about a page.`);
  }
  return { held, zero };
}

export function heldBytes(presence: Uint8Array): number {
  return countPresence(presence).held * PAGE_BYTES;
}
