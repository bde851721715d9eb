import { createKernels, KERNEL_MEMORY_BYTES_MAX, KERNEL_RESERVED_BYTES, type PageKernels } from '../kernels';
import { PAGE_BYTES } from '../qemu-stream';

/** Pages that one call of a kernel works on. */
export const BATCH_PAGES = 128;
/**
 * A page is sent as a difference up to so many changed bytes. Beyond, the whole page compresses to about as much, and
 * better together with its neighbours.
 */
export const DELTA_LITERAL_BYTES_MAX = 2_048;
export const LINES_PER_PAGE = 64;
const HASH_BYTES = 16;
/** The kernels write whole vectors, which may reach past the end of what they say. */
const SLACK_BYTES = 64;

/** Hands out consecutive parts of the kernels' memory, each at a vector's alignment. */
function layOut<Name extends string>(sizes: Readonly<Record<Name, number>>, from: number) {
  let at = from;
  const parts = {} as Record<Name, number>;
  for (const name of Object.keys(sizes) as Name[]) {
    parts[name] = at;
    at += Math.ceil((sizes[name] + SLACK_BYTES) / SLACK_BYTES) * SLACK_BYTES;
  }
  return { parts, end: at };
}

const { parts, end } = layOut(
  {
    pointersA: BATCH_PAGES * 4,
    pointersB: BATCH_PAGES * 4,
    flags: BATCH_PAGES,
    kinds: BATCH_PAGES,
    used: 8,
    hashes: BATCH_PAGES * HASH_BYTES,
    lineMasks: BATCH_PAGES * 8,
    wordMasks: BATCH_PAGES * LINES_PER_PAGE,
    literals: BATCH_PAGES * (DELTA_LITERAL_BYTES_MAX + SLACK_BYTES),
  },
  // Before it lie the kernels' own tables.
  KERNEL_RESERVED_BYTES,
);
const pages = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;

/** Where in the kernels' memory a batch is worked on; all before `SCRATCH_BYTES`. */
export const SCRATCH = { ...parts, pages } as const;
export const SCRATCH_BYTES = pages + BATCH_PAGES * PAGE_BYTES;

/** Memory comes in blocks of so much. */
const BLOCK_BYTES = 65_536;
/** The most pages that one memory holds beside the place to work in. */
export const PAGES_MAX = Math.floor((KERNEL_MEMORY_BYTES_MAX - SCRATCH_BYTES) / PAGE_BYTES);

/** Kernels whose memory has the place to work in, and grows to hold so many pages behind it. */
export function kernelsFor(pagesMax: number): PageKernels {
  const bytes = SCRATCH_BYTES + pagesMax * PAGE_BYTES;
  const kernels = createKernels({ maxBytes: Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES });
  kernels.memory.grow(SCRATCH_BYTES);
  return kernels;
}
