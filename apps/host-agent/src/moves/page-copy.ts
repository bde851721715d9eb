import {
  availableCodecs,
  type CodecId,
  MIRROR_PAGES_DEFAULT,
  MIRROR_PAGES_MAX,
  negotiate,
} from '@watari/migration-core';

import type { PageCopy } from './messages';

const PAGES_PER_MIB = 256;
const PAGE_BYTES = 4_096;
/** What a move holds of a guest's memory unless the operator says otherwise: 4 GiB. */
export const MIRROR_BYTES_DEFAULT = MIRROR_PAGES_DEFAULT * PAGE_BYTES;
/** Video memory, firmware and the like come on top of what the guest was given. */
const DEVICE_PAGES = 256 * PAGES_PER_MIB;

export interface AgreedPageCopy {
  readonly codecs: CodecId[];
  readonly mirrorPagesMax: number;
}

/** RAM blocks add up to so many pages at most; bounds the tables that a source can make a target set up. */
export function layoutPagesMax(memoryMiB: number): number {
  return memoryMiB * PAGES_PER_MIB + DEVICE_PAGES;
}

/**
 * What this host does with a guest's pages: it keeps as many as the guest has, within so many bytes and what one mirror
 * can hold. Pages beyond that cross whole.
 */
export function offerPageCopy(memoryMiB: number, mirrorBytesMax: number): AgreedPageCopy {
  const pagesMax = Math.floor(mirrorBytesMax / PAGE_BYTES);
  return {
    codecs: availableCodecs().map(({ id }) => id),
    mirrorPagesMax: Math.min(layoutPagesMax(memoryMiB), pagesMax, MIRROR_PAGES_MAX),
  };
}

/** What both sides can do. */
export function agreePageCopy(theirs: PageCopy, memoryMiB: number, mirrorBytesMax: number): AgreedPageCopy {
  const ours = offerPageCopy(memoryMiB, mirrorBytesMax);
  return {
    codecs: negotiate(ours.codecs, theirs.codecs),
    mirrorPagesMax: Math.min(ours.mirrorPagesMax, theirs.mirrorPagesMax),
  };
}
