import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type {
  CertificateAuthority,
  GuestSpec,
  GuestStatus,
  MoveRequest,
  MoveStatus,
  StorageCheckRequest,
} from '@watari/host-agent-client';

type Guest = { spec: GuestSpec; state: GuestStatus['state'] };
type Reply = { status?: number; body: unknown };

/** What the fake hosts do otherwise than well. */
export interface Mischief {
  /** Guests whose service never answers; they are found dead. */
  deadGuests: RegExp;
  /** Moves stay in pre-copy. */
  holdPreCopy: boolean;
  /** The next switch-over fails, with the guest running on at its source. */
  failSwitchOver: boolean;
  storageIsShared: boolean;
}

/**
 * Agents that keep the rules of the agent API and run nothing: what they were asked to do is on record. For
 * specs of the control plane; real agents are proven by their own.
 */
export class FakeAgents {
  readonly mischief: Mischief = {
    deadGuests: /^$/,
    holdPreCopy: false,
    failSwitchOver: false,
    storageIsShared: true,
  };
  /** `<host> <what was asked>`, in order; reading is left out. */
  readonly asked: string[] = [];
  /** In the order in which they came. */
  readonly moveRequests: MoveRequest[] = [];
  private readonly servers = new Map<string, { server: Server; url: string }>();
  private readonly guests = new Map<string, Map<string, Guest>>();
  private readonly moves = new Map<string, MoveStatus & { from: string; to: string }>();
  private readonly histories = new Map<string, Set<string>>();
  private marker: string | undefined;

  constructor(private readonly authority: CertificateAuthority) {}

  async start(id: string): Promise<string> {
    const { certificate, key, authority } = await this.authority.issue({ role: 'agent', id });
    const server = createServer(
      { cert: certificate, key, ca: authority, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        void this.serve(id, request, response);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.servers.set(id, { server, url });
    this.guests.set(id, new Map());
    return url;
  }

  async stop(): Promise<void> {
    for (const { server } of this.servers.values()) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** Where a guest runs, over all hosts. */
  hostsRunning(guestId: string): string[] {
    return [...this.guests]
      .filter(([, guests]) => guests.get(guestId)?.state === 'running')
      .map(([host]) => host);
  }

  private async serve(host: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const { status = 200, body } = this.answer(
      host,
      request.method ?? '',
      request.url ?? '',
      text ? JSON.parse(text) : {},
    );
    response.writeHead(status, {
      'content-type': status < 400 ? 'application/json' : 'application/problem+json',
    });
    // A watch is lines; one is enough here.
    response.end(`${JSON.stringify(body)}\n`);
  }

  private answer(host: string, method: string, path: string, body: unknown): Reply {
    const [, kind = '', id = '', verb = ''] = path.split('/');
    if (method !== 'GET' && verb !== 'probe')
      this.asked.push(`${host} ${method} ${kind}${verb ? ` ${verb}` : ''}`);
    if (kind === 'health') return { body: this.health(host) };
    if (kind === 'guests') return this.answerGuest(host, method, id, verb, body);
    if (kind === 'histories') return this.answerHistory(host, method, id);
    if (kind === 'storage-checks') return this.answerStorage(host, body as StorageCheckRequest);
    if (kind === 'moves')
      return method === 'POST' && !id ? this.startMove(host, body as MoveRequest) : this.answerMove(id, verb);
    return refusal(404, 'NOT_FOUND');
  }

  private health(host: string): object {
    return {
      agentId: host,
      version: '0.1.0',
      qemuVersion: '10.0.2',
      accelerator: 'tcg',
      dataAddress: { host: '127.0.0.1', port: 1 },
      guests: this.guestsOf(host).size,
      host: { cpuSockets: 1, cpuCores: 8, memoryMiB: 65_536 },
    };
  }

  private answerGuest(host: string, method: string, id: string, verb: string, body: unknown): Reply {
    const guests = this.guestsOf(host);
    if (!id) return { body: [...guests.values()].map((guest) => this.statusOf(guest)) };
    if (method === 'PUT') {
      const spec = body as GuestSpec;
      guests.set(id, { spec, state: this.mischief.deadGuests.test(id) ? 'failed' : 'running' });
    }
    if (method === 'DELETE') {
      guests.delete(id);
      return { body: {} };
    }
    const guest = guests.get(id);
    if (!guest) return refusal(404, 'GUEST_UNKNOWN');
    if (verb === 'probe') {
      const ok = guest.state === 'running';
      return { body: { ok, afterMs: 5, detail: ok ? 'status 200' : 'no answer' } };
    }
    return { body: this.statusOf(guest) };
  }

  private answerStorage(host: string, { nonce, action }: StorageCheckRequest): Reply {
    if (action === 'place') this.marker = nonce;
    const found = this.marker === nonce && (action === 'place' || this.mischief.storageIsShared);
    if (action === 'remove') this.marker = undefined;
    return {
      body: { agentId: host, found, file: { device: '1', inode: '2', sizeBytes: 3 }, bootId: 'boot' },
    };
  }

  private answerHistory(host: string, method: string, guestId: string): Reply {
    const kept = this.histories.get(host) ?? new Set();
    if (method === 'DELETE') kept.delete(guestId);
    return {
      body: [...kept].map((id) => ({
        guestId: id,
        historyId: 'f00d',
        savedAt: '2026-01-01T00:00:00.000Z',
        bytes: 5_000,
        heldPages: 2,
        zeroPages: 1,
      })),
    };
  }

  private startMove(from: string, request: MoveRequest): Reply {
    this.moveRequests.push(request);
    const { moveId, guestId, target } = request;
    const to = [...this.servers].find(([, { url }]) => url === target.apiUrl)?.[0] ?? '';
    const known = this.moves.get(moveId);
    if (known) return { body: known };
    const state = this.mischief.holdPreCopy ? 'pre-copy' : 'ready-to-switch';
    const move = {
      moveId,
      guestId,
      state,
      rounds: 3,
      guestBytes: 1e6,
      wireBytes: 4e5,
      pages: 250,
      zeroPages: 150,
      totalMs: 9,
      from,
      to,
    } as const;
    this.moves.set(moveId, move);
    return { status: 202, body: move };
  }

  private answerMove(moveId: string, verb: string): Reply {
    const move = this.moves.get(moveId);
    if (!move) return refusal(404, 'MOVE_UNKNOWN');
    if (verb === 'switch-over' && this.mischief.failSwitchOver) {
      this.mischief.failSwitchOver = false;
      Object.assign(move, { state: 'failed', code: 'LINK_LOST', reason: 'The connection broke.' });
    } else if (verb === 'switch-over') {
      const guest = this.guestsOf(move.from).get(move.guestId);
      if (guest) {
        this.guestsOf(move.to).set(move.guestId, { ...guest, state: 'running' });
        guest.state = 'moved-away';
      }
      Object.assign(move, { state: 'completed', downtimeMs: 42, forwards: [] });
      for (const host of [move.from, move.to])
        this.histories.set(host, (this.histories.get(host) ?? new Set()).add(move.guestId));
    } else if (verb === 'cancel') {
      if (move.state === 'completed') return refusal(409, 'MOVE_PAST_RETURN');
      if (move.state !== 'failed') Object.assign(move, { state: 'cancelled', reason: 'Cancelled.' });
    }
    return { body: move };
  }

  private statusOf({ spec, state }: Guest): GuestStatus {
    return {
      guestId: spec.guestId,
      state,
      forwards: [{ guestPort: 80, hostPort: 8080 }],
      consoleTail: 'Gave up waiting for root',
    };
  }

  private guestsOf(host: string): Map<string, Guest> {
    const guests = this.guests.get(host);
    if (!guests) throw new Error(`No fake agent is called ${host}.`);
    return guests;
  }
}

function refusal(status: number, code: string): Reply {
  return { status, body: { code, status, detail: code } };
}
