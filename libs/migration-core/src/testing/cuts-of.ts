import { PAGE_BYTES } from '../qemu-stream';

/**
 * Places to cut a stream of few pages at: every one, except that the middle of the pages is thinned out. A cut
 * there differs from its neighbours in nothing but the count of bytes.
 */
export function cutsOf(length: number): number[] {
  const cuts: number[] = [];
  for (let at = 0; at <= length; at += 1) {
    const isDull =
      length > 2 * PAGE_BYTES && at % 4 !== 0 && at % PAGE_BYTES > 700 && at % PAGE_BYTES < 3_700;
    if (!isDull) cuts.push(at);
  }
  return cuts;
}
