import { Agent, type RequestOptions, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { PeerCertificate } from 'node:tls';

import type { TlsMaterial } from './certificates';
import { HostAgentError } from './errors';
import { identityOf } from './identity';
import { ProblemSchema } from './move-schemas';

/** Bigger than any honest reply (10 000 guests with full console tails aside); bounds what a peer makes us hold. */
const REPLY_BYTES_MAX = 64 * 1024 * 1024;
const LINE_BYTES_MAX = 64 * 1024;

const RETRYABLE_STATUS = new Set([408, 425, 429, 502, 503, 504]);

/** JSON over HTTPS with a client certificate, to one agent, over connections that are kept. */
export class HttpsChannel {
  readonly #base: URL;
  readonly #agent: Agent;

  constructor(options: { apiUrl: string; tls: TlsMaterial; agentId?: string }) {
    this.#base = parseBase(options.apiUrl);
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: 16,
      minVersion: 'TLSv1.3',
      cert: options.tls.certificate,
      key: options.tls.key,
      ca: options.tls.authority,
      // Identity is in the certificate's URI name; the host name of the address proves nothing here.
      checkServerIdentity: (_host, certificate) => refuseOther(certificate, options.agentId),
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The parsed JSON of a 2xx reply, or undefined when the reply has no body. */
  async request(method: string, path: string, body: unknown, timeoutMs: number): Promise<unknown> {
    const text = await this.text(method, path, body, timeoutMs);
    return text === '' ? undefined : parseJson(text, path);
  }

  /** The text of a 2xx reply. */
  async text(method: string, path: string, body: unknown, timeoutMs: number): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const reply = await this.#send(method, path, body, signal);
      const text = await readAll(reply, path);
      if (reply.statusCode! >= 300) throw problemOf(reply, text, `${method} ${path}`);
      return text;
    } catch (error) {
      if (signal.aborted && !(error instanceof HostAgentError))
        throw new HostAgentError(
          'AGENT_TIMEOUT',
          `${this.#base.origin} did not answer ${method} ${path} within ${timeoutMs} ms. Is the agent overloaded or stopped?`,
          { canRetry: true, cause: error },
        );
      throw asAgentError(error, this.#base.origin);
    }
  }

  /** Each line of an NDJSON reply. Ends when the signal aborts or the agent ends the reply. */
  async *lines<Line>(
    path: string,
    timeoutMs: number,
    parse: (value: unknown) => Line,
    signal?: AbortSignal,
  ): AsyncGenerator<Line> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) stop.abort();
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const reply = await this.#send('GET', path, undefined, stop.signal);
      clearTimeout(timer);
      if (reply.statusCode! >= 300) throw problemOf(reply, await readAll(reply, path), `GET ${path}`);
      reply.setEncoding('utf8');
      let rest = '';
      for await (const chunk of reply as AsyncIterable<string>) {
        rest += chunk;
        for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
          const line = rest.slice(0, end);
          rest = rest.slice(end + 1);
          // Blank lines keep the connection alive.
          if (line !== '') yield parse(parseJson(line, path));
        }
        if (rest.length > LINE_BYTES_MAX) throw invalidReply(path, 'a line is too long');
      }
    } catch (error) {
      if (signal?.aborted) return;
      throw asAgentError(error, this.#base.origin);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
    }
  }

  #send(method: string, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options: RequestOptions = {
      method,
      agent: this.#agent,
      signal,
      headers: {
        accept: 'application/json, application/problem+json, application/x-ndjson',
        ...(payload ? { 'content-type': 'application/json', 'content-length': payload.byteLength } : {}),
      },
    };
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(new URL(path, this.#base), options, resolve);
      outgoing.on('error', reject);
      outgoing.end(payload);
    });
  }
}

function parseBase(apiUrl: string): URL {
  const url = URL.canParse(apiUrl) ? new URL(apiUrl) : null;
  if (!url || url.protocol !== 'https:')
    throw new HostAgentError(
      'AGENT_URL_INVALID',
      `"${apiUrl}" is no agent address; write https://HOST:PORT.`,
    );
  return url;
}

function refuseOther(certificate: PeerCertificate, agentId: string | undefined): Error | undefined {
  const identity = identityOf(certificate);
  if (identity?.role === 'agent' && (agentId === undefined || identity.id === agentId)) return undefined;
  const named = identity ? `${identity.role} "${identity.id}"` : 'nobody we know';
  return new HostAgentError(
    'AGENT_UNTRUSTED',
    `The server's certificate names ${named}, expected agent${agentId ? ` "${agentId}"` : ''}. ` +
      'Check the address, and that the agent was given its own certificate.',
  );
}

async function readAll(reply: IncomingMessage, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > REPLY_BYTES_MAX) throw invalidReply(path, `it is longer than ${REPLY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw invalidReply(path, 'it is no JSON');
  }
}

function invalidReply(path: string, why: string): HostAgentError {
  return new HostAgentError('AGENT_REPLY_INVALID', `The reply to ${path} cannot be used: ${why}.`);
}

function problemOf(reply: IncomingMessage, text: string, what: string): HostAgentError {
  const status = reply.statusCode as number;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const problem = ProblemSchema.safeParse(value);
  if (!problem.success)
    return new HostAgentError(
      'AGENT_REPLY_INVALID',
      `${what} failed with status ${status} and no problem document.`,
      {
        status,
        canRetry: RETRYABLE_STATUS.has(status),
      },
    );
  const { code, detail, title, field, canRetry } = problem.data;
  return new HostAgentError(code, detail ?? title ?? `${what} failed with status ${status}.`, {
    status,
    canRetry: canRetry ?? RETRYABLE_STATUS.has(status),
    ...(field === undefined ? {} : { field }),
  });
}

function asAgentError(error: unknown, origin: string): HostAgentError {
  if (error instanceof HostAgentError) return error;
  const cause = error as NodeJS.ErrnoException;
  const code = cause.code ?? '';
  if (/^ERR_(TLS|SSL|OSSL)|^CERT_|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO|^EPROTO$/.test(code))
    return new HostAgentError(
      'AGENT_UNTRUSTED',
      `${origin}: the TLS handshake failed (${cause.message}). Both sides need certificates of the same authority, still valid.`,
      { cause },
    );
  return new HostAgentError(
    'AGENT_UNREACHABLE',
    `${origin} cannot be reached (${code || cause.message}). Is the agent running, and is the address right?`,
    { canRetry: true, cause },
  );
}
