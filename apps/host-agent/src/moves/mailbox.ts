import { AgentError } from '../errors';

interface Waiting<Message> {
  readonly kind: string;
  readonly resolve: (message: Message) => void;
}

/** Messages of the other side, waited for by kind. One waits at a time; what nobody waits for yet is kept. */
export class Mailbox<Message extends { kind: string }> {
  readonly #kept: Message[] = [];
  #waiting: Waiting<Message> | null = null;

  constructor(private readonly signal: AbortSignal) {}

  /** Resolves with the promise, or rejects with the reason of the signal, whichever comes first. */
  static race<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      if (signal.aborted) {
        // Nobody waits for it any more; that it fails too is no news, and must not end the process.
        promise.catch(() => undefined);
        return onAbort();
      }
      signal.addEventListener('abort', onAbort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  put(message: Message): void {
    if (this.#waiting?.kind === message.kind) {
      const { resolve } = this.#waiting;
      this.#waiting = null;
      return resolve(message);
    }
    // A peer that sends without being asked fills nothing.
    if (this.#kept.length < 16) this.#kept.push(message);
  }

  /** Rejects with PEER_SILENT when it does not come in time, or with the reason of the signal. */
  expect<Kind extends Message['kind']>(
    kind: Kind,
    timeoutMs: number,
  ): Promise<Extract<Message, { kind: Kind }>> {
    const index = this.#kept.findIndex((message) => message.kind === kind);
    if (index >= 0)
      return Promise.resolve(this.#kept.splice(index, 1)[0] as Extract<Message, { kind: Kind }>);
    const arrived = new Promise<Message>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = null;
        reject(
          new AgentError('PEER_SILENT', `The other agent did not say "${kind}" within ${timeoutMs} ms.`, {
            status: 504,
          }),
        );
      }, timeoutMs);
      this.#waiting = {
        kind,
        resolve: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
      };
    });
    return Mailbox.race(arrived, this.signal) as Promise<Extract<Message, { kind: Kind }>>;
  }
}
