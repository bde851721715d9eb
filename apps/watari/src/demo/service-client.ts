import { get } from 'node:http';
import { z } from 'zod';

/** What the demonstration server's own web service tells; another server's answer counts as an answer only. */
const Stock = z.object({
  bootId: z.string(),
  counter: z.number(),
  passes: z.number(),
  badSlices: z.number(),
  blockBytes: z.number(),
});
export type Stock = z.infer<typeof Stock>;

export interface Observed {
  readonly asked: number;
  readonly answered: number;
  /** The longest time without an answer, from one answer to the next, in milliseconds. */
  readonly longestGapMs: number;
  /** The usual time between answers: the median. */
  readonly usualGapMs: number;
  readonly last?: Stock;
  /** The counter fell, or the machine was another one than before. Empty when all is well. */
  readonly complaints: readonly string[];
}

const PAUSE_MS = 10;
const TIMEOUT_MS = 500;
const BODY_BYTES_MAX = 65_536;
const GAPS_KEPT = 100_000;

/** A client that asks a web service again and again, and writes down how long it had to wait. */
export class ServiceClient {
  private asked = 0;
  private gaps: number[] = [];
  private answeredAt: number | undefined;
  private last: Stock | undefined;
  private readonly complaints: string[] = [];
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly port: number,
    private readonly path: string,
  ) {}

  start(): void {
    this.running ??= this.askOn();
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.running;
  }

  /** What was seen since the last call. */
  take(): Observed {
    const gaps = [...this.gaps].sort((a, b) => a - b);
    // A wait that still lasts counts as long as it has lasted.
    const waiting = this.answeredAt === undefined ? 0 : performance.now() - this.answeredAt;
    const observed = {
      asked: this.asked,
      answered: gaps.length,
      longestGapMs: Math.max(gaps.at(-1) ?? 0, waiting),
      usualGapMs: gaps[gaps.length >> 1] ?? 0,
      ...(this.last && { last: this.last }),
      complaints: [...this.complaints],
    };
    this.asked = 0;
    this.gaps = [];
    return observed;
  }

  /** The service's latest answer, when it is the demonstration server's. */
  get stock(): Stock | undefined {
    return this.last;
  }

  private async askOn(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      this.asked += 1;
      const answer = await ask(this.port, this.path);
      if (answer !== undefined) this.note(answer);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private note(answer: string): void {
    const now = performance.now();
    if (this.answeredAt !== undefined && this.gaps.length < GAPS_KEPT) this.gaps.push(now - this.answeredAt);
    this.answeredAt = now;
    const stock = parseStock(answer);
    if (!stock) return;
    const before = this.last;
    if (before && before.bootId !== stock.bootId) this.complain('the server was booted again');
    else if (before && stock.counter < before.counter)
      this.complain(`the counter went back from ${before.counter} to ${stock.counter}`);
    if (stock.badSlices > 0)
      this.complain(`${stock.badSlices} slices of the memory block were not as written`);
    this.last = stock;
  }

  private complain(text: string): void {
    if (!this.complaints.includes(text) && this.complaints.length < 20) this.complaints.push(text);
  }
}

/** The answer's body; undefined when there was none in time. */
function ask(port: number, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body = (body + text).slice(0, BODY_BYTES_MAX);
      });
      response.on('end', () => resolve(body));
      response.on('error', () => resolve(undefined));
      response.on('aborted', () => resolve(undefined));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}

function parseStock(answer: string): Stock | undefined {
  try {
    return Stock.safeParse(JSON.parse(answer)).data;
  } catch {
    return undefined;
  }
}
