import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFakeServer } from '@watari/disk-image/testing';
import { CertificateAuthority } from '@watari/host-agent-client';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { processesIn } from '@watari/process-identity';
import { ApiClient } from './cli/api-client';
import type { JournalView, MigrationView } from './cli/migrations';
import { DISK_TOOLS } from './demo/demo';
import { runCommandLine, startUp } from './testing/cli-process';
import { FakeAgents } from './testing/fake-agents';
import { STORY_OF_A_COLD_MIGRATION, storyOf } from './testing/story';

jest.setTimeout(180_000);

describe('the command line', () => {
  let data: string;
  let disk: string;

  beforeAll(async () => {
    await ensureHostTools(DISK_TOOLS);
    data = await mkdtemp(join(tmpdir(), 'watari-cli-'));
    disk = await makeFakeServer({ folder: data, tools: createHostTools() });
  });
  afterAll(() => rm(data, { recursive: true, force: true }));

  it('says how to start when nothing runs, by a code of its own', async () => {
    const { exitCode, stderr } = await runCommandLine(['servers', '--data', join(data, 'nowhere')]);
    expect(exitCode).toBe(4);
    expect(stderr).toContain('watari up');
  });

  it('tells errors as JSON when asked to', async () => {
    const { exitCode, stderr } = await runCommandLine([
      'events',
      'x',
      '--json',
      '--data',
      join(data, 'nowhere'),
    ]);
    expect(exitCode).toBe(4);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'WATARI_NOT_RUNNING' } });
  });

  it('refuses what it does not know, with the usage code', async () => {
    expect((await runCommandLine(['migrat'])).exitCode).toBe(2);
    expect((await runCommandLine(['servers', 'add', disk])).exitCode).toBe(2);
  });

  it('runs, refuses a second start on its folder, takes commands, and stops cleanly by Ctrl-C', async () => {
    const folder = join(data, 'installation');
    const up = await startUp(folder);
    try {
      const second = await runCommandLine(['up', '--port', '0', '--json', '--data', folder]);
      expect(second.exitCode).toBe(3);
      expect(JSON.parse(second.stderr)).toMatchObject({
        error: { code: 'DATA_FOLDER_IN_USE', details: { pid: up.pid } },
      });
      expect((await stat(join(folder, 'token'))).mode & 0o777).toBe(0o600);

      const add = (path: string) => [
        'servers',
        'add',
        path,
        '--name',
        'web-1',
        '--probe',
        'http:80/',
        '--json',
        '--data',
        folder,
      ];
      const added = await runCommandLine(add(disk));
      expect(added).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(added.stdout)).toMatchObject({ name: 'web-1', facts: { partitionTable: 'mbr' } });
      const listed = await runCommandLine(['servers', '--data', folder]);
      expect(listed.stdout).toContain('web-1');

      const blank = join(data, 'blank.raw');
      await writeFile(blank, Buffer.alloc(1024 * 1024));
      const refused = await runCommandLine(add(blank));
      expect(refused.exitCode).toBe(3);
      expect(JSON.parse(refused.stderr).error.code).toMatch(/^DISK_/);
    } finally {
      expect(await up.end('SIGINT')).toBe(0);
    }
    expect(await processesIn(join(folder, 'postgres', 'cluster'))).toEqual([]);
    await expect(readFile(join(folder, 'instance.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('finishes a migration, once, though it is killed again and again on the way', async () => {
    const folder = join(data, 'killed');
    const agents = new FakeAgents(await CertificateAuthority.open(join(folder, 'tls')));
    const agentUrl = await agents.start('host-a');
    let up = await startUp(folder);
    try {
      const api = async () =>
        new ApiClient({ url: up.url, token: (await readFile(join(folder, 'token'), 'utf8')).trim() });
      await (await api()).post('/hosts', { agentUrl });
      const server = await (
        await api()
      ).post<{ serverId: string }>('/servers', { name: 'web-1', disk: { path: disk }, probe: 'http:80/' });
      const { migrationId } = await (
        await api()
      ).postSettled<MigrationView>('/migrations', {
        serverId: server.serverId,
        targetHostId: 'host-a',
      });
      await (await api()).post(`/migrations/${migrationId}/start`);
      for (const afterMs of [150, 700, 1500]) {
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        await up.end('SIGKILL');
        up = await startUp(folder);
      }
      const end = await until(async () => {
        const migration = await (await api()).get<MigrationView>(`/migrations/${migrationId}`);
        return /completed|rolled-back|stalled/.test(migration.status) ? migration : undefined;
      });
      expect({ status: end.status, why: end.why }).toEqual({ status: 'completed', why: undefined });
      const journal = await until(async () => {
        const events = await (await api()).get<JournalView[]>(`/migrations/${migrationId}/events`);
        return events.some(({ type }) => type === 'migration.completed') ? events : undefined;
      });
      expect(storyOf(journal)).toEqual(STORY_OF_A_COLD_MIGRATION);
      expect(agents.hostsRunning(server.serverId)).toEqual(['host-a']);
    } finally {
      await up.end('SIGTERM');
      await agents.stop();
    }
  });
});

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 90_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error('It did not come about in 90 s.');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
