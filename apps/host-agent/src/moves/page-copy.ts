import { availableCodecs, type CodecId, MIRROR_PAGES_MAX, negotiate } from '@watari/migration-core';

import type { PageCopy } from './messages';

const PAGES_PER_MIB = 256;
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

/** What this host does with a guest's pages: it keeps as many as the guest has, within what one memory can hold. */
export function offerPageCopy(memoryMiB: number): AgreedPageCopy {
  return {
    codecs: availableCodecs().map(({ id }) => id),
    mirrorPagesMax: Math.min(layoutPagesMax(memoryMiB), MIRROR_PAGES_MAX),
  };
}

/** What both sides can do. */
export function agreePageCopy(theirs: PageCopy, memoryMiB: number): AgreedPageCopy {
  const ours = offerPageCopy(memoryMiB);
  return {
    codecs: negotiate(ours.codecs, theirs.codecs),
    mirrorPagesMax: Math.min(ours.mirrorPagesMax, theirs.mirrorPagesMax),
  };
}
