import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFakeServer } from '@watari/disk-image/testing';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { DISK_TOOLS } from './demo/demo';
import { ControlPlane } from './testing/control-plane';
import { STORY_OF_A_COLD_MIGRATION, storyOf } from './testing/story';

jest.setTimeout(90_000);

/** Real services, database, bus and disk; agents that keep the API's rules and run nothing. */
describe('a crossing', () => {
  let folder: string;
  let disk: string;
  let control: ControlPlane;
  let serverId: string;
  let server = 0;

  beforeAll(async () => {
    await ensureHostTools(DISK_TOOLS);
    folder = await mkdtemp(join(tmpdir(), 'watari-crossing-'));
    disk = await makeFakeServer({ folder, tools: createHostTools() });
    control = await ControlPlane.start();
  }, 120_000);
  beforeEach(async () => {
    server += 1;
    const copy = join(folder, `server-${server}`);
    // Another path is another server.
    await mkdir(copy);
    await copyFile(disk, join(copy, 'disk.raw'));
    ({ serverId } = await control.register(`server-${server}`, join(copy, 'disk.raw')));
    Object.assign(control.agents.mischief, {
      deadGuests: /^$/,
      holdPreCopy: false,
      failSwitchOver: false,
      storageIsShared: true,
    });
  });
  afterAll(async () => {
    await control.close();
    await rm(folder, { recursive: true, force: true });
  });

  const migrate = async (to: string, more?: object) => control.end(await control.begin(serverId, to, more));

  it('converts a server, proves that it boots, and starts it on its host; the source is not changed', async () => {
    const path = join(folder, `server-${server}`, 'disk.raw');
    const before = sha256(await readFile(path));
    const end = await migrate('host-a');
    expect(end).toMatchObject({ status: 'completed', assignment: { kind: 'cold' } });
    expect(end.itinerary).toEqual([
      'preflight',
      'copy-disk',
      'convert-guest',
      'boot-proof',
      'switch-over',
      'verify',
      'finish',
    ]);
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-a']);
    expect(sha256(await readFile(path))).toBe(before);
  });

  it('asks the agent for what the plan allows of pause, link and guest, and for nothing else', async () => {
    await migrate('host-a');
    const allowed = { downtimeLimitMs: 120, bandwidthBytesPerSecondMax: 12_500_000, throttlePercentMax: 40 };
    await control.end(await control.begin(serverId, 'host-b', allowed));
    expect(control.agents.moveRequests.at(-1)).toMatchObject(allowed);
    await migrate('host-a');
    const { bandwidthBytesPerSecondMax, throttlePercentMax } = control.agents.moveRequests.at(-1)!;
    expect({ bandwidthBytesPerSecondMax, throttlePercentMax }).toEqual({});
    for (const nonsense of [{ throttlePercentMax: 100 }, { bandwidthBytesPerSecondMax: 1 }])
      await expect(control.begin(serverId, 'host-b', nonsense)).rejects.toThrow(Object.keys(nonsense)[0]);
  });

  it('moves it live to another host, and back', async () => {
    await migrate('host-a');
    const there = await migrate('host-b');
    expect(there).toMatchObject({
      status: 'completed',
      assignment: { kind: 'live' },
      results: { 'switch-over': { downtimeMs: 42 } },
    });
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-b']);
    expect((await migrate('host-a')).status).toBe('completed');
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-a']);
  });

  it('can be watched: its phases, and the move of the guest while there is one', async () => {
    await migrate('host-a');
    control.agents.mischief.holdPreCopy = true;
    const migrationId = await control.begin(serverId, 'host-b');
    const seen: { event: string; data: string }[] = [];
    const watching = (async () => {
      const path = `/migrations/${migrationId}/watch`;
      for await (const event of control.api.events(path, new AbortController().signal)) seen.push(event);
    })();
    await control.until(migrationId, ({ phase }) => phase === 'pre-copy');
    while (!seen.some(({ event }) => event === 'move')) await new Promise((next) => setTimeout(next, 50));
    await control.api.post(`/migrations/${migrationId}/cancel`, { by: 'spec', reason: 'seen enough' });
    await watching;
    const moves = seen.filter(({ event }) => event === 'move').map(({ data }) => JSON.parse(data) as object);
    expect(moves[0]).toMatchObject({ guestId: serverId, rounds: 3 });
    const views = seen.filter(({ event }) => event === 'migration').map(({ data }) => JSON.parse(data));
    expect(views.at(-1)).toMatchObject({ migrationId, status: 'rolled-back' });
    expect(views.map(({ phase }) => phase)).toContain('pre-copy');
  });

  it('lets services stop while somebody watches, and refuses to watch what is not there', async () => {
    await migrate('host-a');
    control.agents.mischief.holdPreCopy = true;
    const migrationId = await control.begin(serverId, 'host-b');
    const seen: string[] = [];
    const watching = (async () => {
      const path = `/migrations/${migrationId}/watch`;
      for await (const { event } of control.api.events(path, new AbortController().signal)) seen.push(event);
    })();
    while (seen.length === 0) await new Promise((next) => setTimeout(next, 50));
    await control.restart();
    await watching;
    await control.api.post(`/migrations/${migrationId}/cancel`, { by: 'spec', reason: 'seen enough' });
    await control.end(migrationId);
    const stranger = control.api.events('/migrations/nowhere/watch', new AbortController().signal);
    await expect(stranger.next()).rejects.toMatchObject({ code: 'MIGRATION_UNKNOWN' });
  });

  it('tells what a server left on its hosts, and deletes it on demand', async () => {
    await migrate('host-a');
    await migrate('host-b');
    const kept = (host: string) => control.api.get<{ guestId: string }[]>(`/histories/${host}`);
    expect(await kept('host-a')).toContainEqual(expect.objectContaining({ guestId: serverId }));
    await control.api.delete(`/histories/host-a/${serverId}`);
    expect(await kept('host-a')).not.toContainEqual(expect.objectContaining({ guestId: serverId }));
    expect(await kept('host-b')).toContainEqual(expect.objectContaining({ guestId: serverId }));
    await expect(kept('host-x')).rejects.toMatchObject({ code: 'HOST_UNKNOWN' });
  });

  it('tells its whole story in order, under one correlation id', async () => {
    const { migrationId } = await migrate('host-a');
    const story = storyOf(await control.journal(migrationId));
    expect(story).toEqual(STORY_OF_A_COLD_MIGRATION);
  });

  it('refuses a second migration of a server while one is under way', async () => {
    await migrate('host-a');
    control.agents.mischief.holdPreCopy = true;
    const first = await control.begin(serverId, 'host-b');
    await expect(control.begin(serverId, 'host-b')).rejects.toMatchObject({ code: 'SERVER_BUSY' });
    await control.until(first, ({ phase }) => phase === 'pre-copy');
    await control.api.post(`/migrations/${first}/cancel`, { by: 'spec', reason: 'done' });
    expect((await control.end(first)).status).toBe('rolled-back');
  });

  it('rolls back when the converted disk does not boot, and throws away what it had made', async () => {
    control.agents.mischief.deadGuests = /-proof$/;
    const end = await migrate('host-a');
    expect(end).toMatchObject({ status: 'rolled-back', why: { code: 'BOOT_PROOF_FAILED' } });
    expect(end.why?.reason).toContain('Gave up waiting for root');
    expect(control.agents.hostsRunning(serverId)).toEqual([]);
    const made = join(control.folder, 'services', 'image-conversion', 'conversions', end.migrationId);
    await expect(readdir(made)).rejects.toMatchObject({ code: 'ENOENT' });
    // The server is free again: a later migration goes through.
    control.agents.mischief.deadGuests = /^$/;
    expect((await migrate('host-a')).status).toBe('completed');
  });

  it('rolls back a switch-over that failed while the guest still ran at its source', async () => {
    await migrate('host-a');
    control.agents.mischief.failSwitchOver = true;
    const end = await migrate('host-b');
    expect(end).toMatchObject({ status: 'rolled-back', why: { code: 'LINK_LOST' } });
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-a']);
  });

  it('refuses a live migration without shared storage, with the guest left alone', async () => {
    await migrate('host-a');
    control.agents.mischief.storageIsShared = false;
    expect(await migrate('host-b')).toMatchObject({
      status: 'rolled-back',
      why: { code: 'STORAGE_NOT_SHARED' },
    });
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-a']);
  });

  it('cancels in pre-copy, and the guest runs on', async () => {
    await migrate('host-a');
    control.agents.mischief.holdPreCopy = true;
    const migrationId = await control.begin(serverId, 'host-b');
    await control.until(migrationId, ({ phase }) => phase === 'pre-copy');
    await control.api.post(`/migrations/${migrationId}/cancel`, { by: 'spec', reason: 'wrong window' });
    expect(await control.end(migrationId)).toMatchObject({
      status: 'rolled-back',
      why: { code: 'MIGRATION_CANCELLED' },
    });
    expect(control.agents.hostsRunning(serverId)).toEqual(['host-a']);
  });

  it('goes on where it was when all services stop in the middle', async () => {
    await migrate('host-a');
    control.agents.mischief.holdPreCopy = true;
    const migrationId = await control.begin(serverId, 'host-b');
    await control.until(migrationId, ({ phase }) => phase === 'pre-copy');
    await control.restart();
    expect((await control.get(migrationId)).phase).toBe('pre-copy');
    await control.api.post(`/migrations/${migrationId}/cancel`, { by: 'spec', reason: 'seen enough' });
    expect((await control.end(migrationId)).status).toBe('rolled-back');
  });

  it('refuses a server that is nowhere registered, a host that is none, and a move to where it is', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000';
    await expect(
      control.api.post('/migrations', { serverId: unknown, targetHostId: 'host-a' }),
    ).rejects.toMatchObject({ code: 'SERVER_UNKNOWN' });
    await migrate('host-a');
    await expect(control.api.post('/migrations', { serverId, targetHostId: 'host-x' })).rejects.toMatchObject(
      { code: 'HOST_UNKNOWN' },
    );
    await expect(control.api.post('/migrations', { serverId, targetHostId: 'host-a' })).rejects.toMatchObject(
      { code: 'SERVER_ALREADY_THERE' },
    );
  });
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
