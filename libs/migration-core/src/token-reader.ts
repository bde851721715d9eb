import { getU32 } from './big-endian';
import { PageWireError } from './errors';
import { PAGE_BYTES, RAM_FLAG } from './qemu-stream';
import type { PageLayout } from './reduction/page-layout';
import {
  COPY_ENTRY_BYTES,
  OPAQUE_TOKEN_BYTES,
  RUN_TOKEN_BYTES,
  type RunToken,
  TOKEN,
  TOKEN_NAMED,
} from './tokens';

/** Page records of one kind, one after the other. */
export interface Run {
  readonly token: RunToken;
  readonly block: number;
  readonly isNamed: boolean;
  readonly firstHigh: number;
  readonly firstLow: number;
  readonly count: number;
  /** Of a run of copies: where in the tokens the pages that they are of stand. */
  readonly copiesAt: number;
}

export interface TokenVisitor {
  opaque(length: number): void;
  run(run: Run): void;
}

const RUN_TOKENS: ReadonlySet<number> = new Set<RunToken>([
  TOKEN.raw,
  TOKEN.zeroRecords,
  TOKEN.zeroPages,
  TOKEN.same,
  TOKEN.delta,
  TOKEN.copy,
]);

/**
 * Tells a visitor what a frame's tokens say. They are hostile input: throws TOKEN_INVALID on the first that cannot be.
 * A run may claim 2^32 pages; whoever looks at more than its head bounds it first.
 */
export function readTokens(tokens: Uint8Array, layout: PageLayout | null, visitor: TokenVisitor): void {
  let at = 0;
  const need = (bytes: number): void => {
    if (at + bytes > tokens.length) throw invalidTokens('a token is cut short');
  };
  while (at < tokens.length) {
    const kind = tokens[at]!;
    if (kind === TOKEN.opaque) {
      need(OPAQUE_TOKEN_BYTES);
      visitor.opaque(getU32(tokens, at + 1));
      at += OPAQUE_TOKEN_BYTES;
      continue;
    }
    const token = kind & ~TOKEN_NAMED;
    if (!RUN_TOKENS.has(token)) throw invalidTokens(`token ${kind} is unknown`);
    need(RUN_TOKEN_BYTES);
    const block = (tokens[at + 1]! << 8) | tokens[at + 2]!;
    if (!layout || block >= layout.blocks.length)
      throw invalidTokens('a page lies in a RAM block that is unknown');
    const count = getU32(tokens, at + 11);
    const run: Run = {
      token: token as RunToken,
      block,
      isNamed: (kind & TOKEN_NAMED) !== 0,
      firstHigh: getU32(tokens, at + 3),
      firstLow: getU32(tokens, at + 7),
      count,
      copiesAt: at + RUN_TOKEN_BYTES,
    };
    if (count === 0) throw invalidTokens('a run is empty');
    at += RUN_TOKEN_BYTES;
    if (token === TOKEN.copy) {
      need(count * COPY_ENTRY_BYTES);
      at += count * COPY_ENTRY_BYTES;
    }
    visitor.run(run);
  }
}

/** Bytes of stream that a run rebuilds to. */
export function streamBytesOf({ token, count, isNamed, block }: Run, layout: PageLayout): number {
  const contentBytes = token === TOKEN.zeroRecords ? 1 : PAGE_BYTES;
  return count * (8 + contentBytes) + (isNamed ? 1 + layout.blocks[block]!.name.length : 0);
}

/** Calls back with the word of each record of a run. The caller has bounded the run. */
export function forEachRecord(
  { firstHigh, firstLow, count }: Run,
  onRecord: (wordHigh: number, wordLow: number, index: number) => void,
): void {
  let high = firstHigh;
  let low = firstLow;
  for (let index = 0; index < count; index += 1) {
    onRecord(high, low, index);
    const next = low + PAGE_BYTES;
    if (next > 0xffffffff) high = (high + 1) >>> 0;
    low = ((next >>> 0) | RAM_FLAG.continue) >>> 0;
  }
}

export function invalidTokens(why: string): PageWireError {
  return new PageWireError(
    'TOKEN_INVALID',
    `A data frame cannot be rebuilt: ${why}. The move must be given up.`,
  );
}
