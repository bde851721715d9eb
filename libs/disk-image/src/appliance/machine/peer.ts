import { z } from 'zod';
import { ApplianceError } from '../errors';
import { type Frame, FrameDecoder, encodeFrame, invalid } from './frames';
import type { Machine } from './machine';

const Answer = z.discriminatedUnion('ok', [
  z.object({ id: z.int().min(0), ok: z.literal(true), result: z.unknown() }),
  z.object({
    id: z.int().min(0),
    ok: z.literal(false),
    error: z.object({ code: z.string().max(40), message: z.string().max(4000) }),
  }),
]);
type Answer = z.infer<typeof Answer>;

const Greeting = z.object({ protocol: z.literal(1), uptimeS: z.number() });

/** The agent did not do it; `code` is one of its own, such as NOT_FOUND. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

export interface Reply<Result> {
  readonly result: Result;
  readonly payload: Buffer;
}

export interface Request<Result> {
  readonly op: string;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly payload?: Buffer;
  /** What the answer must look like. */
  readonly schema: z.ZodType<Result>;
  readonly timeoutMs?: number;
}

/** What it needs of the machine that it speaks to. */
export type PeerMachine = Pick<Machine, 'channel' | 'console' | 'ended' | 'kill' | 'lastWords'>;

interface Waiting {
  readonly id: number;
  resolve(answer: { answer: Answer; payload: Buffer }): void;
  reject(error: Error): void;
}

const NOTHING = Buffer.alloc(0);
const REQUEST_TIMEOUT_MS = 60_000;

/** Asks the agent in the appliance, one thing after the other. Any misbehaviour ends the machine. */
export class Peer {
  private readonly decoder = new FrameDecoder();
  private waiting: Waiting | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private lastId = 0;
  private failure: Error | undefined;

  constructor(private readonly machine: PeerMachine) {
    machine.channel.on('data', (chunk: Buffer) => this.receive(chunk));
    void machine.ended.then((how) => this.fail(died(machine, how)));
  }

  /** Waits for the agent to be there. */
  async greeting(timeoutMs: number): Promise<void> {
    const { answer } = await this.wait(0, timeoutMs, 'start');
    if (!answer.ok || !Greeting.safeParse(answer.result).success)
      throw this.stop(invalid('another greeting'));
  }

  /**
   * Rejects with Refusal where the agent could not do it, and with ApplianceError where the appliance failed: it
   * is gone then.
   */
  request<Result>(request: Request<Result>): Promise<Reply<Result>> {
    const asked = this.turn.then(() => this.ask(request));
    this.turn = asked.catch(() => undefined);
    return asked;
  }

  /** Ends the machine, and all that is asked, for this reason. */
  stop(reason: Error): Error {
    this.fail(reason);
    void this.machine.kill();
    return reason;
  }

  private async ask<Result>(request: Request<Result>): Promise<Reply<Result>> {
    const { op, args = {}, payload = NOTHING, schema, timeoutMs = REQUEST_TIMEOUT_MS } = request;
    if (this.failure) throw this.failure;
    this.lastId += 1;
    const id = this.lastId;
    const answered = this.wait(id, timeoutMs, op);
    for (const part of encodeFrame({ json: { id, op, args }, payload })) this.machine.channel.write(part);
    const { answer, payload: bytes } = await answered;
    if (!answer.ok) throw new Refusal(answer.error.code, plain(answer.error.message));
    const parsed = schema.safeParse(answer.result);
    if (!parsed.success) throw this.stop(invalid(`something unexpected to "${op}"`, parsed.error));
    return { result: parsed.data, payload: bytes };
  }

  private wait(id: number, timeoutMs: number, op: string): Promise<{ answer: Answer; payload: Buffer }> {
    return new Promise((resolve, reject) => {
      if (this.failure) {
        reject(this.failure);
        return;
      }
      const timer = setTimeout(() => {
        this.stop(timedOut(op, timeoutMs, this.machine));
      }, timeoutMs);
      const settled = (): void => {
        clearTimeout(timer);
        this.waiting = undefined;
      };
      this.waiting = {
        id,
        resolve: (found) => {
          settled();
          resolve(found);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
    });
  }

  private receive(chunk: Buffer): void {
    if (this.failure) return;
    try {
      for (const frame of this.decoder.push(chunk)) this.accept(frame);
    } catch (error) {
      this.stop(error instanceof Error ? error : invalid('something unexpected'));
    }
  }

  private accept({ json, payload }: Frame): void {
    const answer = Answer.safeParse(json);
    const { waiting } = this;
    if (!answer.success) throw invalid('something that is no answer', answer.error);
    if (!waiting || waiting.id !== answer.data.id) throw invalid('something that was not asked');
    waiting.resolve({ answer: answer.data, payload });
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.waiting?.reject(this.failure);
  }
}

/** Messages hold what a disk says of itself; none of it reaches a terminal as it is. */
export function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 2000);
}

function died(machine: PeerMachine, how: string): ApplianceError {
  const words = machine.lastWords();
  if (/Failed to get .* lock/.test(words))
    return new ApplianceError(
      'APPLIANCE_UNAVAILABLE',
      `The disk is in use by another process: ${words} Stop what uses it, or give a copy.`,
      { canRetry: true },
    );
  return new ApplianceError(
    'APPLIANCE_DIED',
    `The appliance ended by itself (${how}): ${words} ` +
      'A damaged file system can do that; check it on the server, then copy the disk again. Too little memory can, too.',
  );
}

function timedOut(op: string, timeoutMs: number, machine: PeerMachine): ApplianceError {
  return new ApplianceError(
    'APPLIANCE_TIMED_OUT',
    `The appliance did not answer "${op}" within ${timeoutMs / 1000} s, and was stopped. ${machine.console.summary()}`.trim(),
    { canRetry: true },
  );
}
