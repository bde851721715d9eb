import { mkdtemp, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { CertificateAuthority, type TlsMaterial } from './certificates';
import { createHostAgentClient, type HostAgentClient, readTlsMaterial } from './client';
import { identityOf } from './identity';

const HEALTH = {
  agentId: 'a',
  version: '1',
  qemuVersion: '10.0.2',
  accelerator: 'tcg',
  dataAddress: { host: '127.0.0.1', port: 1 },
  guests: 0,
  host: { cpuSockets: 1, cpuCores: 2, memoryMiB: 4096 },
};

describe('host agent client', () => {
  let folder: string;
  let authority: CertificateAuthority;
  let agentTls: TlsMaterial;
  let callerTls: TlsMaterial;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const servers: Server[] = [];
  const clients: HostAgentClient[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-client-'));
    authority = await CertificateAuthority.open(join(folder, 'authority'));
    agentTls = await authority.issue({ role: 'agent', id: 'a' });
    callerTls = await authority.issue({ role: 'control-plane', id: 'cp' });
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function serve(tls: TlsMaterial = agentTls): Promise<string> {
    const server = createServer(
      { cert: tls.certificate, key: tls.key, ca: tls.authority, requestCert: true, rejectUnauthorized: true },
      (request, response) => answer(request, response),
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  function client(
    apiUrl: string,
    more: { tls?: TlsMaterial; agentId?: string; timeoutMs?: number } = {},
  ): HostAgentClient {
    const made = createHostAgentClient({ apiUrl, tls: callerTls, timeoutMs: 2_000, ...more });
    clients.push(made);
    return made;
  }
  function sendJson(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  it('shows its certificate and trusts an agent of the same authority', async () => {
    let caller: unknown;
    answer = (request, response) => {
      caller = identityOf((request.socket as TLSSocket).getPeerCertificate());
      sendJson(response, 200, HEALTH);
    };
    await expect(client(await serve(), { agentId: 'a' }).health()).resolves.toEqual(HEALTH);
    expect(caller).toEqual({ role: 'control-plane', id: 'cp' });
  });

  it('refuses an agent of another name, and a server that is no agent', async () => {
    answer = (_request, response) => sendJson(response, 200, HEALTH);
    await expect(client(await serve(), { agentId: 'b' }).health()).rejects.toMatchObject({
      code: 'AGENT_UNTRUSTED',
      canRetry: false,
    });
    await expect(client(await serve(callerTls)).health()).rejects.toMatchObject({ code: 'AGENT_UNTRUSTED' });
  });

  it('refuses an agent of another authority', async () => {
    answer = (_request, response) => sendJson(response, 200, HEALTH);
    const other = await CertificateAuthority.open(join(folder, 'other'));
    const url = await serve(await other.issue({ role: 'agent', id: 'a' }));
    await expect(client(url).health()).rejects.toMatchObject({ code: 'AGENT_UNTRUSTED', canRetry: false });
  });

  it('passes on code, field and canRetry of a problem document', async () => {
    answer = (_request, response) =>
      sendJson(response, 409, { code: 'MOVE_NOT_READY', detail: 'Wait.', field: 'moveId', canRetry: true });
    await expect(client(await serve()).switchOver('m')).rejects.toMatchObject({
      code: 'MOVE_NOT_READY',
      message: 'Wait.',
      field: 'moveId',
      status: 409,
      canRetry: true,
    });
  });

  it('calls a reply that breaks the agreement invalid', async () => {
    answer = (_request, response) => sendJson(response, 200, { ...HEALTH, guests: -1 });
    await expect(client(await serve()).health()).rejects.toMatchObject({ code: 'AGENT_REPLY_INVALID' });
    answer = (_request, response) => void response.writeHead(200).end('<html>');
    await expect(client(await serve()).health()).rejects.toMatchObject({ code: 'AGENT_REPLY_INVALID' });
  });

  it('gives up after its timeout, and says that trying again may help', async () => {
    answer = () => undefined;
    await expect(client(await serve(), { timeoutMs: 60 }).health()).rejects.toMatchObject({
      code: 'AGENT_TIMEOUT',
      canRetry: true,
    });
  });

  it('says when nobody listens', async () => {
    await expect(client('https://127.0.0.1:1').health()).rejects.toMatchObject({
      code: 'AGENT_UNREACHABLE',
      canRetry: true,
    });
  });

  it('refuses an address that is not https', () => {
    expect(() => client('http://127.0.0.1:1')).toThrow(
      expect.objectContaining({ code: 'AGENT_URL_INVALID' }),
    );
  });

  it('streams events line by line, however they are cut, until it is told to stop', async () => {
    const event = { at: '2026-01-02T03:04:05.000006Z', event: 'STOP', agentId: 'a' };
    answer = (_request, response) => {
      const text = `${JSON.stringify(event)}\n\n${JSON.stringify({ ...event, event: 'RESUME' })}\n`;
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.write(text.slice(0, 20));
      setTimeout(() => response.write(text.slice(20)), 20);
    };
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const { event: name } of client(await serve()).guestEvents('g', { signal: stop.signal })) {
      seen.push(name);
      if (seen.length === 2) stop.abort();
    }
    expect(seen).toEqual(['STOP', 'RESUME']);
  });

  it('keeps an authority across restarts, with keys that only the owner reads', async () => {
    const again = await CertificateAuthority.open(join(folder, 'authority'));
    expect(again.certificate).toBe(authority.certificate);
    const files = await again.issueFiles(join(folder, 'agent-x'), { role: 'agent', id: 'x' });
    expect((await stat(files.keyPath)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'authority', 'authority-key.pem'))).mode & 0o777).toBe(0o600);
    answer = (_request, response) => sendJson(response, 200, HEALTH);
    const url = await serve(await readTlsMaterial(files));
    await expect(client(url, { agentId: 'x' }).health()).resolves.toEqual(HEALTH);
  });
});
