import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

import {
  type AgentHealth,
  type AgentHistory,
  GuestSpecSchema,
  MoveRequestSchema,
  ProbeRequestSchema,
  StorageCheckRequestSchema,
} from '@watari/host-agent-client';
import type { HistorySummary } from '@watari/migration-core';

import { AgentError } from '../errors';
import type { EventLog } from '../guests/event-log';
import type { Guests } from '../guests/guests';
import type { AgentMetrics } from '../metrics/agent-metrics';
import type { DataPlane } from '../data-plane/data-plane';
import type { Moves } from '../moves/moves';
import { probeGuest } from '../probe';
import { checkStorage } from '../storage-check';
import { readBody } from './body';
import { LineStream } from './line-stream';
import { streamMove } from './move-stream';
import type { Route } from './router';

export interface ApiSurroundings {
  readonly agentId: string;
  readonly bootId: string;
  readonly guests: Guests;
  readonly moves: Moves;
  readonly plane: DataPlane;
  readonly metrics: AgentMetrics;
  readonly health: () => AgentHealth;
}

export function apiRoutes(around: ApiSurroundings): Route[] {
  const { agentId, bootId, guests, moves, plane, metrics, health } = around;
  return [
    { method: 'GET', path: '/health', forAgents: true, handle: () => ({ status: 200, body: health() }) },
    { method: 'GET', path: '/guests', handle: () => ({ status: 200, body: guests.list() }) },
    {
      method: 'PUT',
      path: '/guests/:',
      handle: async ({ request, ids: [guestId] }) => {
        const spec = await readBody(request, GuestSpecSchema);
        if (spec.guestId !== guestId)
          throw new AgentError('REQUEST_INVALID', 'guestId differs from the one in the path.', {
            status: 400,
            field: 'guestId',
          });
        const { guest, created } = await guests.put(spec);
        return { status: created ? 201 : 200, body: guest.status() };
      },
    },
    {
      method: 'GET',
      path: '/guests/:',
      handle: async ({ ids: [guestId] }) => {
        const guest = guests.get(guestId!);
        await guest.drainConsole();
        return { status: 200, body: guest.status() };
      },
    },
    {
      method: 'DELETE',
      path: '/guests/:',
      handle: async ({ ids: [guestId] }) => {
        const guest = guests.find(guestId!);
        if (guest) await moves.beforeDelete(guest);
        // A guest that moved away may come back: what it left here goes by its own time.
        const isGone = guest?.status().state === 'moved-away';
        await guests.delete(guestId!);
        if (guest && !isGone) await plane.removeHistory(guestId!);
        return { status: 204 };
      },
    },
    {
      method: 'GET',
      path: '/guests/:/events',
      handle: ({ response, ids: [guestId], signal }) => {
        streamEvents(guests.get(guestId!).eventLog, response, signal);
        return 'streamed';
      },
    },
    {
      method: 'POST',
      path: '/guests/:/probe',
      handle: async ({ request, ids: [guestId], signal }) => {
        const probe = await readBody(request, ProbeRequestSchema);
        return { status: 200, body: await probeGuest(guests.get(guestId!), probe, signal) };
      },
    },
    {
      method: 'POST',
      path: '/moves',
      handle: async ({ request }) => ({
        status: 202,
        body: await moves.start(await readBody(request, MoveRequestSchema)),
      }),
    },
    {
      method: 'GET',
      path: '/moves/:',
      handle: ({ ids: [moveId] }) => ({ status: 200, body: moves.get(moveId!) }),
    },
    {
      method: 'GET',
      path: '/moves/:/watch',
      handle: ({ response, ids: [moveId], signal }) => {
        streamMove(() => moves.get(moveId!), response, signal);
        return 'streamed';
      },
    },
    {
      method: 'GET',
      path: '/moves/:/trace',
      handle: async ({ response, ids: [moveId] }) => {
        const trace = await moves.openTrace(moveId!);
        response.writeHead(200, { 'content-type': 'application/x-ndjson' });
        await pipeline(trace, response);
        return 'streamed' as const;
      },
    },
    {
      method: 'POST',
      path: '/moves/:/switch-over',
      handle: ({ ids: [moveId] }) => ({ status: 202, body: moves.switchOver(moveId!) }),
    },
    {
      method: 'POST',
      path: '/moves/:/cancel',
      handle: async ({ ids: [moveId] }) => ({ status: 200, body: await moves.cancel(moveId!) }),
    },
    {
      method: 'GET',
      path: '/moves/:/ownership',
      forAgents: true,
      handle: ({ ids: [moveId], caller }) => ({ status: 200, body: moves.ownership(moveId!, caller) }),
    },
    {
      method: 'GET',
      path: '/metrics',
      handle: async ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
        response.end(await metrics.asText());
        return 'streamed' as const;
      },
    },
    {
      method: 'GET',
      path: '/histories',
      handle: async () => ({ status: 200, body: (await plane.listHistories()).map(historyView) }),
    },
    {
      method: 'DELETE',
      path: '/histories/:',
      handle: async ({ ids: [guestId] }) => {
        await plane.removeHistory(guestId!);
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: '/storage-checks',
      handle: async ({ request }) => ({
        status: 200,
        body: await checkStorage(await readBody(request, StorageCheckRequestSchema), { agentId, bootId }),
      }),
    },
  ];
}

function historyView({ description, bytes, heldPages, zeroPages }: HistorySummary): AgentHistory {
  const { guestId, historyId, savedAtMs } = description;
  return { guestId, historyId, savedAt: new Date(savedAtMs).toISOString(), bytes, heldPages, zeroPages };
}

function streamEvents(log: EventLog, response: ServerResponse, signal: AbortSignal): void {
  const stream = new LineStream(response, signal);
  for (const event of log.all) stream.send(event);
  const stopListening = log.listen((event) => stream.send(event));
  signal.addEventListener('abort', stopListening, { once: true });
}
