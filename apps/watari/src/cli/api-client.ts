import { CliError, EXIT } from './errors';
import { EventStreamParser, type ServerSentEvent } from './event-stream';

const TIMEOUT_MS = 60_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** Services hear of each other's news by events: a moment after a registration not all of them know it. */
const SETTLE_MS = 10_000;
const SETTLE_POLL_MS = 150;

export interface ApiOptions {
  readonly url: string;
  readonly token: string;
}

/** Speaks to a running installation. Rejects with CliError that carries the problem's code. */
export class ApiClient {
  constructor(private readonly options: ApiOptions) {}

  get url(): string {
    return this.options.url;
  }

  get<T>(path: string): Promise<T> {
    return this.request<T>('GET', path);
  }

  post<T>(path: string, body: object = {}): Promise<T> {
    return this.request<T>('POST', path, body);
  }

  async delete(path: string): Promise<void> {
    await this.request('DELETE', path);
  }

  /** Server-sent events, until the stream ends or the signal aborts. */
  async *events(path: string, signal: AbortSignal): AsyncGenerator<ServerSentEvent> {
    const response = await this.send('GET', path, undefined, signal, 'text/event-stream');
    if (!response.ok) throw await refusalOf(response);
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body ?? [])
        yield* parser.push(decoder.decode(chunk, { stream: true }));
    } catch (error) {
      if (signal.aborted || error instanceof CliError) throw error;
      throw this.unreachable(error);
    }
  }

  /** As `post`, and again for a while when the answer is that something just registered is unknown. */
  async postSettled<T>(path: string, body: object): Promise<T> {
    const until = performance.now() + SETTLE_MS;
    for (;;) {
      try {
        return await this.post<T>(path, body);
      } catch (error) {
        const isUnsettled =
          error instanceof CliError && (error.code === 'SERVER_UNKNOWN' || error.code === 'HOST_UNKNOWN');
        if (!isUnsettled || performance.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
      }
    }
  }

  private async request<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await this.send(method, path, body, AbortSignal.timeout(TIMEOUT_MS));
    if (!response.ok) throw await refusalOf(response);
    return parse(await boundedText(response), response.status) as T;
  }

  private async send(
    method: string,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
    accept = 'application/json',
  ): Promise<Response> {
    try {
      return await fetch(new URL(path, this.options.url), {
        method,
        signal,
        redirect: 'error',
        headers: {
          accept,
          authorization: `Bearer ${this.options.token}`,
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw this.unreachable(error);
    }
  }

  private unreachable(error: unknown): CliError {
    return new CliError(
      'WATARI_UNREACHABLE',
      `Nothing answers at ${this.options.url}. Start it with "watari up", or set WATARI_URL and WATARI_TOKEN.`,
      EXIT.unreachable,
      String((error as Error).cause ?? error),
    );
  }
}

async function refusalOf(response: Response): Promise<CliError> {
  const { status } = response;
  const {
    code = 'REQUEST_FAILED',
    detail,
    errors,
  } = parse(await boundedText(response), status) as {
    code?: string;
    detail?: string;
    errors?: { field: string; message: string }[];
  };
  const fields = (errors ?? []).slice(1).map(({ field, message }) => `\n  ${field}: ${message}`);
  return new CliError(
    code,
    `${detail ?? `status ${status}`}${fields.join('')}`,
    status === 503 ? EXIT.unreachable : status >= 500 ? EXIT.failed : EXIT.refused,
  );
}

async function boundedText(response: Response): Promise<string> {
  const bytes = await response.arrayBuffer();
  if (bytes.byteLength > ANSWER_BYTES_MAX)
    throw new CliError('ANSWER_TOO_LARGE', 'The answer is larger than 64 MiB.');
  return Buffer.from(bytes).toString('utf8');
}

function parse(text: string, status: number): unknown {
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch {
    throw new CliError(
      'ANSWER_INVALID',
      `The answer (status ${status}) is no JSON: is this Watari's address?`,
    );
  }
}
