import { readFile } from 'node:fs/promises';
import type { z } from 'zod';

import type { TlsMaterial } from './certificates';
import {
  type GuestEvent,
  GuestEventSchema,
  type GuestSpec,
  type GuestStatus,
  GuestStatusSchema,
} from './guest-schemas';
import { HttpsChannel } from './https-channel';
import { HostAgentError } from './errors';
import {
  type AgentHealth,
  AgentHealthSchema,
  type AgentHistory,
  AgentHistorySchema,
  type MoveOwnership,
  MoveOwnershipSchema,
  type MoveRequest,
  type MoveStatus,
  MoveStatusSchema,
  type ProbeRequest,
  type ProbeResult,
  ProbeResultSchema,
  type StorageCheckRequest,
  type StorageCheckResult,
  StorageCheckResultSchema,
} from './move-schemas';

export interface HostAgentClientOptions {
  /** `https://host:port` of the agent. */
  apiUrl: string;
  tls: TlsMaterial;
  /** When given, the server's certificate must name this agent; else any agent of the authority is accepted. */
  agentId?: string;
  /** For one request, in milliseconds. Default 15 000. */
  timeoutMs?: number;
}

/** One agent. Every method rejects with `HostAgentError`. */
export interface HostAgentClient {
  readonly apiUrl: string;
  health(): Promise<AgentHealth>;
  /** Starts the guest. Repeating it with the same spec changes nothing; another spec is GUEST_SPEC_CONFLICT. */
  putGuest(spec: GuestSpec): Promise<GuestStatus>;
  getGuest(guestId: string): Promise<GuestStatus>;
  listGuests(): Promise<GuestStatus[]>;
  /** Powers the guest off and forgets it. An unknown guest is no error. */
  deleteGuest(guestId: string): Promise<void>;
  /** All events from the guest's start, then new ones until the signal aborts or the agent ends the stream. */
  guestEvents(guestId: string, options?: { signal?: AbortSignal }): AsyncIterable<GuestEvent>;
  /** Resolves with `ok: false` when the probe did not succeed in time. */
  probe(guestId: string, request: ProbeRequest): Promise<ProbeResult>;
  /** Begins a move; repeating it with the same moveId answers the status of the move under way. */
  startMove(request: MoveRequest): Promise<MoveStatus>;
  getMove(moveId: string): Promise<MoveStatus>;
  /** The move's status ten times a second, the last one when it is over or the signal aborts. */
  watchMove(moveId: string, options?: { signal?: AbortSignal }): AsyncIterable<MoveStatus>;
  /** What the planner saw and decided in a move from this host, as JSON lines; TRACE_UNKNOWN when it is gone. */
  moveTrace(moveId: string): Promise<string>;
  /** Lets the move hand the guest over. The move must be 'ready-to-switch', else MOVE_NOT_READY (can be retried). */
  switchOver(moveId: string): Promise<MoveStatus>;
  /** MOVE_PAST_RETURN once the target may be running. */
  cancelMove(moveId: string): Promise<MoveStatus>;
  /** Asked by the agent at the other end of a move, after one of them was away. MOVE_UNKNOWN for a stranger's. */
  moveOwnership(moveId: string): Promise<MoveOwnership>;
  /** What guests that moved left on the host. */
  listHistories(): Promise<AgentHistory[]>;
  /** The next move of the guest from or to this host begins with nothing. No history is no error. */
  deleteHistory(guestId: string): Promise<void>;
  checkStorage(request: StorageCheckRequest): Promise<StorageCheckResult>;
  /** What the host's moves cost, in the Prometheus text format. */
  metrics(): Promise<string>;
  /** Drops idle connections. */
  close(): void;
}

/** Reads PEM files into the material that clients and servers take. */
export async function readTlsMaterial(files: {
  certificatePath: string;
  keyPath: string;
  authorityPath: string;
}): Promise<TlsMaterial> {
  const [certificate, key, authority] = await Promise.all(
    [files.certificatePath, files.keyPath, files.authorityPath].map((path) => readFile(path, 'utf8')),
  );
  return { certificate: certificate as string, key: key as string, authority: authority as string };
}

export function createHostAgentClient(options: HostAgentClientOptions): HostAgentClient {
  const channel = new HttpsChannel(options);
  const timeoutMs = options.timeoutMs ?? 15_000;

  async function ask<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body?: unknown,
    requestTimeoutMs = timeoutMs,
  ): Promise<z.infer<Schema>> {
    const reply = await channel.request(method, path, body, requestTimeoutMs);
    const parsed = schema.safeParse(reply);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new HostAgentError(
      'AGENT_REPLY_INVALID',
      `${options.apiUrl} answered ${method} ${path} with something else than agreed (${issue?.path.join('.') || 'body'}: ` +
        `${issue?.message ?? 'not valid'}). Run the same version of Watari on both sides.`,
    );
  }

  return {
    apiUrl: options.apiUrl,
    health: () => ask(AgentHealthSchema, 'GET', '/health'),
    // Starting QEMU under software emulation on a busy host takes longer than an ordinary request.
    putGuest: (spec) =>
      ask(GuestStatusSchema, 'PUT', `/guests/${segment(spec.guestId)}`, spec, Math.max(timeoutMs, 90_000)),
    getGuest: (guestId) => ask(GuestStatusSchema, 'GET', `/guests/${segment(guestId)}`),
    listGuests: () => ask(GuestStatusSchema.array().max(10_000), 'GET', '/guests'),
    deleteGuest: async (guestId) => {
      await channel.request('DELETE', `/guests/${segment(guestId)}`, undefined, Math.max(timeoutMs, 60_000));
    },
    guestEvents: (guestId, { signal } = {}) =>
      channel.lines(
        `/guests/${segment(guestId)}/events`,
        timeoutMs,
        (line) => GuestEventSchema.parse(line),
        signal,
      ),
    probe: (guestId, request) =>
      ask(
        ProbeResultSchema,
        'POST',
        `/guests/${segment(guestId)}/probe`,
        request,
        request.timeoutMs + timeoutMs,
      ),
    listHistories: () => ask(AgentHistorySchema.array().max(100_000), 'GET', '/histories'),
    deleteHistory: async (guestId) => {
      await channel.request('DELETE', `/histories/${segment(guestId)}`, undefined, timeoutMs);
    },
    startMove: (request) => ask(MoveStatusSchema, 'POST', '/moves', request, Math.max(timeoutMs, 90_000)),
    getMove: (moveId) => ask(MoveStatusSchema, 'GET', `/moves/${segment(moveId)}`),
    watchMove: (moveId, { signal } = {}) =>
      channel.lines(
        `/moves/${segment(moveId)}/watch`,
        timeoutMs,
        (line) => MoveStatusSchema.parse(line),
        signal,
      ),
    moveTrace: (moveId) => channel.text('GET', `/moves/${segment(moveId)}/trace`, undefined, timeoutMs),
    switchOver: (moveId) => ask(MoveStatusSchema, 'POST', `/moves/${segment(moveId)}/switch-over`),
    cancelMove: (moveId) =>
      ask(
        MoveStatusSchema,
        'POST',
        `/moves/${segment(moveId)}/cancel`,
        undefined,
        Math.max(timeoutMs, 60_000),
      ),
    moveOwnership: (moveId) => ask(MoveOwnershipSchema, 'GET', `/moves/${segment(moveId)}/ownership`),
    checkStorage: (request) => ask(StorageCheckResultSchema, 'POST', '/storage-checks', request),
    metrics: () => channel.text('GET', '/metrics', undefined, timeoutMs),
    close: () => channel.close(),
  };
}

function segment(id: string): string {
  return encodeURIComponent(id);
}
