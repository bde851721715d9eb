import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { GuestEvent } from '@watari/host-agent-client';

import { writeCounterDisk } from './testing/counter-guest';
import { counterPast, TestAgents, type TestAgent, until } from './testing/test-agents';

jest.setTimeout(180_000);

describe('host agent', () => {
  let agents: TestAgents;
  let a: TestAgent;

  beforeAll(async () => {
    agents = await TestAgents.open();
    a = await agents.start('a');
  });
  afterAll(() => agents.close());

  it('tells what the host is', async () => {
    const health = await a.client.health();
    expect(health).toMatchObject({ agentId: 'a', accelerator: 'tcg', dataAddress: a.dataAddress });
    expect(Number(health.qemuVersion.split('.')[0])).toBeGreaterThanOrEqual(9);
    expect(health.host.memoryMiB).toBeGreaterThan(100);
  });

  it('starts a guest once, refuses another under its name, and deletes it twice without complaint', async () => {
    const spec = await agents.guest('once');
    expect((await a.client.putGuest(spec)).state).toBe('running');
    const { startedAt } = await a.client.getGuest(spec.guestId);
    expect(await a.client.putGuest(spec)).toMatchObject({ state: 'running', startedAt });
    await expect(a.client.putGuest({ ...spec, memoryMiB: 48 })).rejects.toMatchObject({
      code: 'GUEST_SPEC_CONFLICT',
      status: 409,
    });
    const qemu = await agents.qemuOf('a', spec.guestId);
    await a.client.deleteGuest(spec.guestId);
    expect(await qemu?.isRunning()).toBe(false);
    await a.client.deleteGuest(spec.guestId);
    await expect(a.client.getGuest(spec.guestId)).rejects.toMatchObject({
      code: 'GUEST_UNKNOWN',
      status: 404,
    });
  });

  it('refuses disks that are missing, of another format, or that name another file', async () => {
    const spec = await agents.guest('bad-disk');
    const withDisk = (path: string, format: 'raw' | 'qcow2') => ({
      ...spec,
      disks: [{ path, format, bus: 'ahci' as const }],
    });
    await expect(a.client.putGuest(withDisk('/no/such.raw', 'raw'))).rejects.toMatchObject({
      code: 'DISK_MISSING',
      field: 'disks.0.path',
    });
    await expect(a.client.putGuest(withDisk(spec.disks[0]!.path, 'qcow2'))).rejects.toMatchObject({
      code: 'DISK_FORMAT_WRONG',
    });
    const header = Buffer.alloc(65_536);
    header.writeUInt32BE(0x514649fb, 0);
    header.writeUInt32BE(3, 4);
    header.writeBigUInt64BE(4_096n, 8);
    const backed = join(agents.folder, 'backed.qcow2');
    await writeFile(backed, header);
    await expect(a.client.putGuest(withDisk(backed, 'qcow2'))).rejects.toMatchObject({
      code: 'DISK_HAS_BACKING_FILE',
    });
    // Nothing is left of the attempts.
    await expect(a.client.getGuest(spec.guestId)).rejects.toMatchObject({ code: 'GUEST_UNKNOWN' });
  });

  it('says what QEMU said when it does not start, and when it dies later', async () => {
    const spec = await agents.guest('dies');
    const mac = spec.nics[0]!.mac;
    await a.client.putGuest(spec);
    const other = await agents.guest('locked', undefined, {
      disks: spec.disks,
      nics: [{ ...spec.nics[0]!, mac }],
    });
    await expect(a.client.putGuest(other)).rejects.toMatchObject({
      code: 'QEMU_START_FAILED',
      message: expect.stringMatching(/lock/i) as string,
    });

    await (await agents.qemuOf('a', spec.guestId))?.kill();
    const status = await until(async () => {
      const seen = await a.client.getGuest(spec.guestId);
      return seen.state === 'failed' ? seen : undefined;
    }, 'the end of QEMU to be noticed');
    expect(status.reason).toMatch(/ended by itself/);
    // Asked for again, it starts again.
    expect(await a.client.putGuest(spec)).toMatchObject({ state: 'running' });
    await a.client.deleteGuest(spec.guestId);
  });

  it('takes its guests up again after a kill -9, with console and events', async () => {
    const spec = await agents.guest('survivor');
    await a.client.putGuest(spec);
    const before = await counterPast(a.client, spec.guestId, 20);
    const qemu = await agents.qemuOf('a', spec.guestId);
    await a.end('SIGKILL');
    expect(await qemu?.isRunning()).toBe(true);
    a = await agents.start('a');
    const status = await a.client.getGuest(spec.guestId);
    expect(status).toMatchObject({ state: 'running', forwards: [{ guestPort: 80 }] });
    expect((await agents.qemuOf('a', spec.guestId))?.pid).toBe(qemu?.pid);
    const after = await counterPast(a.client, spec.guestId, before.ticks + 50);
    expect(after.badPages).toBe(0);

    const events: GuestEvent[] = [];
    const stop = new AbortController();
    for await (const event of a.client.guestEvents(spec.guestId, { signal: stop.signal })) {
      events.push(event);
      stop.abort();
    }
    expect(events[0]).toMatchObject({ event: 'RESUME', agentId: 'a' });

    // An orderly end leaves guests running, too.
    await a.end('SIGTERM');
    expect(await qemu?.isRunning()).toBe(true);
    a = await agents.start('a');
    await a.client.deleteGuest(spec.guestId);
    expect(await qemu?.isRunning()).toBe(false);
  });

  it('reports a guest as failed whose QEMU went while no agent was there', async () => {
    const spec = await agents.guest('lost');
    await a.client.putGuest(spec);
    await a.end('SIGKILL');
    await (await agents.qemuOf('a', spec.guestId))?.kill();
    a = await agents.start('a');
    expect(await a.client.getGuest(spec.guestId)).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/gone/) as string,
    });
  });

  it('probes consoles and ports, and gives up in time', async () => {
    const spec = await agents.guest('probed');
    await a.client.putGuest(spec);
    const probe = (request: Parameters<typeof a.client.probe>[1]['probe'], timeoutMs: number) =>
      a.client.probe(spec.guestId, { probe: request, timeoutMs });
    expect(await probe({ kind: 'console', text: 'N=000000' }, 20_000)).toMatchObject({ ok: true });
    expect(await probe({ kind: 'console', text: 'login:' }, 300)).toMatchObject({ ok: false });
    // QEMU takes the connection, but this guest has no network: that is no success.
    const tcp = await probe({ kind: 'tcp', port: 80 }, 1_500);
    expect(tcp).toMatchObject({ ok: false });
    expect(tcp.afterMs).toBeLessThan(5_000);
    expect(await probe({ kind: 'http', port: 80, path: '/' }, 800)).toMatchObject({ ok: false });
    expect(await probe({ kind: 'tcp', port: 81 }, 300)).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/no forward/) as string,
    });
    await a.client.deleteGuest(spec.guestId);
  });

  it('sees a marker beside the same disk and none beside another', async () => {
    const diskPath = join(agents.folder, 'shared', 'marked.raw');
    await writeCounterDisk(diskPath);
    const elsewhere = join(agents.folder, 'elsewhere');
    await mkdir(elsewhere);
    const nonce = 'nonce-12345678';
    expect(await a.client.checkStorage({ diskPath, nonce, action: 'look' })).toMatchObject({ found: false });
    await a.client.checkStorage({ diskPath, nonce, action: 'place' });
    const seen = await a.client.checkStorage({ diskPath, nonce, action: 'look' });
    expect(seen).toMatchObject({ found: true, placedBy: 'a', file: { sizeBytes: 1024 * 1024 } });
    const other = { diskPath: join(elsewhere, 'marked.raw'), nonce, action: 'look' as const };
    expect(await a.client.checkStorage(other)).toMatchObject({ found: false });
    expect(await a.client.checkStorage(other)).not.toHaveProperty('file');
    await a.client.checkStorage({ diskPath, nonce, action: 'remove' });
    expect(await a.client.checkStorage({ diskPath, nonce, action: 'look' })).toMatchObject({ found: false });
  });
});
