import { Readable } from 'node:stream';
import type { IncomingMessage } from 'node:http';

import { GuestSpecSchema, MoveRequestSchema } from '@watari/host-agent-client';
import { pino } from 'pino';

import { AgentError } from '../errors';
import { check, readBody } from './body';
import { problemOf } from './problem';
import { findRoute, refuseForbidden, type Route } from './router';

const silent = pino({ level: 'silent' });
const handle = () => ({ status: 200 });
const ROUTES: Route[] = [
  { method: 'GET', path: '/guests', handle },
  { method: 'GET', path: '/guests/:', handle },
  { method: 'DELETE', path: '/guests/:', handle },
  { method: 'GET', path: '/moves/:/ownership', forAgents: true, handle },
];

function body(text: string | Buffer): IncomingMessage {
  return Readable.from([Buffer.from(text)]) as IncomingMessage;
}

describe('routes', () => {
  it('are found by method and path, with the ids in it', () => {
    expect(findRoute(ROUTES, 'DELETE', '/guests/web-1')).toMatchObject({ route: ROUTES[2], ids: ['web-1'] });
    expect(findRoute(ROUTES, 'GET', '/moves/m/ownership').ids).toEqual(['m']);
  });

  it.each([
    ['GET', '/nothing', 'NOT_FOUND'],
    ['GET', '/guests/a/b', 'NOT_FOUND'],
    ['POST', '/guests/a', 'METHOD_NOT_ALLOWED'],
    ['GET', '/guests/..%2fetc', 'REQUEST_INVALID'],
    ['GET', '/guests/', 'REQUEST_INVALID'],
    ['GET', `/guests/${'a'.repeat(65)}`, 'REQUEST_INVALID'],
  ])('refuse %s %s', (method, path, code) => {
    expect(() => findRoute(ROUTES, method, path)).toThrow(expect.objectContaining({ code }));
  });

  it('are closed to agents but for a few', () => {
    const agent = { role: 'agent' as const, id: 'a' };
    expect(() => refuseForbidden(ROUTES[2]!, agent)).toThrow(expect.objectContaining({ status: 403 }));
    expect(() => refuseForbidden(ROUTES[3]!, agent)).not.toThrow();
    expect(() => refuseForbidden(ROUTES[2]!, { role: 'control-plane', id: 'cp' })).not.toThrow();
  });
});

describe('request bodies', () => {
  const spec = { guestId: 'g', memoryMiB: 64, vcpus: 1, machine: 'pc', disks: [], nics: [] };

  it('are read by their schema', async () => {
    await expect(readBody(body(JSON.stringify(spec)), GuestSpecSchema)).resolves.toEqual(spec);
  });

  it.each([
    ['a missing field', { ...spec, vcpus: undefined }, 'vcpus'],
    ['a field of another type', { ...spec, memoryMiB: '64' }, 'memoryMiB'],
    ['an unknown field', { ...spec, kernel: '/boot/x' }, 'kernel'],
    ['a field deep inside', { ...spec, disks: [{ path: 'x', format: 'raw', bus: 'ahci' }] }, 'disks.0.path'],
  ])('name the field of %s', async (_what, value, field) => {
    await expect(readBody(body(JSON.stringify(value)), GuestSpecSchema)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      status: 400,
      field,
    });
  });

  it('are refused when they are no JSON, or too long', async () => {
    await expect(readBody(body('{'), GuestSpecSchema)).rejects.toMatchObject({ code: 'BODY_NOT_JSON' });
    await expect(readBody(body(Buffer.alloc(1024 * 1024 + 1, 0x20)), GuestSpecSchema)).rejects.toMatchObject({
      code: 'BODY_TOO_LONG',
      status: 413,
    });
  });

  it('take a target by https alone', () => {
    const move = { moveId: 'm', guestId: 'g', downtimeLimitMs: 300 };
    const target = { apiUrl: 'http://127.0.0.1:1', dataAddress: { host: 'h', port: 1 } };
    expect(() => check(MoveRequestSchema, { ...move, target })).toThrow(
      expect.objectContaining({ field: 'target.apiUrl' }),
    );
  });
});

describe('problem documents', () => {
  it('carry code, field and whether to try again', () => {
    const error = new AgentError('MOVE_NOT_READY', 'Wait.', { status: 409, canRetry: true, field: 'moveId' });
    expect(problemOf(error, silent)).toEqual({
      type: 'about:blank',
      title: 'Move not ready',
      status: 409,
      detail: 'Wait.',
      code: 'MOVE_NOT_READY',
      canRetry: true,
      field: 'moveId',
    });
  });

  it('tell strangers nothing of a fault inside', () => {
    const problem = problemOf(new Error('secret /path'), silent);
    expect(problem).toMatchObject({ status: 500, code: 'AGENT_FAULT' });
    expect(JSON.stringify(problem)).not.toContain('secret');
  });
});
