import type { Transferable } from 'node:worker_threads';

import { AgentError, describeError } from '../errors';

/** What one thread offers another: methods that take and give plain data. */
export type Service<Methods> = {
  readonly [Name in keyof Methods]: (...given: never[]) => Promise<unknown>;
};

/** A worker, a port, or the parent of either. */
interface CallPort<Incoming> {
  postMessage(message: unknown, transfer?: readonly Transferable[]): void;
  on(event: 'message', listener: (message: Incoming) => void): unknown;
}

interface Call {
  readonly id: number;
  readonly method: string;
  readonly given: readonly unknown[];
}
type Answer = { readonly id?: number } & (
  { readonly result: unknown } | { readonly failure: { readonly code: string; readonly reason: string } }
);

/** The thread that calls: each call is a message, answered by another. */
export class Calls<Methods extends Service<Methods>> {
  readonly #waiting = new Map<
    number,
    { resolve: (result: unknown) => void; reject: (error: Error) => void }
  >();
  #lastId = 0;
  #ended: Error | null = null;

  constructor(private readonly port: CallPort<Answer>) {
    port.on('message', (answer: Answer) => {
      // Of another kind: the service says things unasked, too.
      if (answer.id === undefined) return;
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('result' in answer) waiting?.resolve(answer.result);
      else waiting?.reject(new AgentError(answer.failure.code, answer.failure.reason));
    });
  }

  /** Rejects with an AgentError of the code that the method's own error had. */
  call<Name extends keyof Methods & string>(
    method: Name,
    given: Parameters<Methods[Name]>,
    transfer: readonly Transferable[] = [],
  ): ReturnType<Methods[Name]> {
    const answered = new Promise<unknown>((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const id = (this.#lastId += 1);
      this.#waiting.set(id, { resolve, reject });
      this.port.postMessage({ id, method, given } satisfies Call, transfer);
    });
    return answered as ReturnType<Methods[Name]>;
  }

  /** The other thread is gone: whoever waits for an answer is told. */
  end(error: Error): void {
    this.#ended = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The thread that is called. */
export function answerCalls<Methods extends Service<Methods>>(port: CallPort<Call>, service: Methods): void {
  const methods = service as unknown as Record<string, (...given: readonly unknown[]) => Promise<unknown>>;
  port.on('message', ({ id, method, given }: Call) => {
    const answer = (words: Answer): void => port.postMessage(words);
    Promise.resolve()
      .then(() => methods[method]!.apply(service, [...given]))
      .then(
        (result) => answer({ id, result }),
        (error: unknown) => answer({ id, failure: describeError(error) }),
      );
  });
}
