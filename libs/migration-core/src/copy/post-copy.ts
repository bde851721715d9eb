import { PAGE_BYTES } from '../qemu-stream';
import type { StreamSummary } from '../stream-encoder';
import { PageCopyError } from './errors';
import type { PageSender } from './page-sender';
import type { PageSet } from './page-set';
import type { PageTarget } from './page-source';

/** Sent at once after a request: what is near is wanted next. */
const NEIGHBOUR_PAGES = 8;
/** Sent at once while nobody asks; what is asked for meanwhile waits for no more than this. */
const BACKGROUND_PAGES = 32;

/** Pages that the target's users wait for, in the order in which they were asked for. */
export class PageRequests {
  readonly #pages: number[] = [];

  request(page: number): void {
    this.#pages.push(page);
  }

  take(): number | undefined {
    return this.#pages.shift();
  }
}

/**
 * Sends what the target lacks while the target is used already: what is asked for first, then on from there, until all
 * has crossed (Hines et al., "Post-copy live migration of virtual machines", SIGOPS OSR 43(3), 2009). The source is
 * paused and stays so. From its beginning neither side has all pages: if the link is lost for good, so is what is
 * copied. Rejects then with PageCopyError COPY_LOST.
 */
export async function postCopy(
  sender: PageSender,
  missing: PageSet,
  requests: PageRequests,
  onProgress?: (leftPages: number) => void,
): Promise<StreamSummary> {
  let cursor = 0;
  try {
    while (missing.size > 0) {
      const asked = requests.take();
      // What crossed since it was asked for is on its way.
      if (asked !== undefined && !missing.has(asked)) continue;
      const run =
        asked === undefined
          ? (missing.runFrom(cursor, BACKGROUND_PAGES) ?? missing.runFrom(0, BACKGROUND_PAGES))!
          : missing.runFrom(asked, NEIGHBOUR_PAGES)!;
      await sender.sendRun(run);
      await sender.flush();
      missing.deleteRun(run);
      cursor = run.firstPage + run.pageCount;
      onProgress?.(missing.size);
    }
    return await sender.end();
  } catch (cause) {
    throw new PageCopyError(
      'COPY_LOST',
      `The link was lost with ${missing.size} pages missing on the target: neither side has all of them.`,
      { cause },
    );
  }
}

/** A target that is used while pages are missing: whoever needs one waits for it, and it is asked for. */
export class PostCopyTarget implements PageTarget {
  readonly #waiting = new Map<number, Waiter>();
  #failure: Error | null = null;

  /** `missing` shrinks as pages come. `onRequest` tells the source; each page once. */
  constructor(
    private readonly target: PageTarget,
    readonly missing: PageSet,
    private readonly onRequest: (page: number) => void,
  ) {}

  get blocks(): PageTarget['blocks'] {
    return this.target.blocks;
  }

  /** Resolves when the page is there; rejects when it never will be. */
  async need(page: number): Promise<void> {
    if (!this.missing.has(page)) return;
    if (this.#failure) throw this.#failure;
    let waiting = this.#waiting.get(page);
    if (!waiting) {
      waiting = waiter();
      this.#waiting.set(page, waiting);
      this.onRequest(page);
    }
    return waiting.promise;
  }

  /** No page comes any more. */
  fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async write(firstPage: number, bytes: Uint8Array): Promise<void> {
    await this.target.write(firstPage, bytes);
    this.#arrived(firstPage, bytes.length / PAGE_BYTES);
  }

  async writeZeros(firstPage: number, pageCount: number): Promise<void> {
    await this.target.writeZeros(firstPage, pageCount);
    this.#arrived(firstPage, pageCount);
  }

  flush(): Promise<void> {
    return this.target.flush();
  }

  #arrived(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page += 1) {
      this.missing.delete(page);
      this.#waiting.get(page)?.resolve();
      this.#waiting.delete(page);
    }
  }
}

interface Waiter {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function waiter(): Waiter {
  let resolve: () => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<void>((onArrival, onLoss) => {
    resolve = onArrival;
    reject = onLoss;
  });
  return { promise, resolve, reject };
}
