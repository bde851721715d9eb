import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase } from '@watari/embedded-postgres';
import { createBus } from '@watari/event-bus';
import { CertificateAuthority } from '@watari/host-agent-client';
import { type RunningApp, startApp } from '@watari/service-kit';
import { pino } from 'pino';
import { ApiClient } from '../cli/api-client';
import type { HostView, ServerView } from '../cli/commands/inventory';
import type { JournalView, MigrationView } from '../cli/migrations';
import { services } from '../embedded/embedded';
import { FakeAgents } from './fake-agents';

const TOKEN = 'a-token-for-specs-only';
const END = new Set(['completed', 'rolled-back', 'stalled']);

/** The five services on a database of their own, with fake agents on two hosts. */
export class ControlPlane {
  private constructor(
    readonly folder: string,
    readonly agents: FakeAgents,
    private readonly restartApp: () => Promise<RunningApp>,
    private app: RunningApp,
    private readonly release: () => Promise<void>,
  ) {}

  static async start(brokers?: readonly string[]): Promise<ControlPlane> {
    const logger = pino({ level: process.env['WATARI_LOG_LEVEL'] ?? 'silent' });
    const database = await createTestDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'watari-control-'));
    const authority = await CertificateAuthority.open(join(folder, 'tls'));
    const tls = await authority.issue({ role: 'control-plane', id: 'spec' });
    const agents = new FakeAgents(authority);
    const bus = await createBus(
      brokers
        ? { kind: 'kafka', brokers: [...brokers], clientId: 'spec', logger }
        : { kind: 'postgres', databaseUrl: database.url, logger },
    );
    const startAgain = () =>
      startApp({
        platform: {
          databaseUrl: database.url,
          bus,
          logger,
          dataFolder: join(folder, 'services'),
          partitions: 2,
          agentTls: () => Promise.resolve(tls),
        },
        services,
        listen: { host: '127.0.0.1', port: 0 },
        token: TOKEN,
        title: 'Spec',
      });
    const app = await startAgain();
    const control = new ControlPlane(folder, agents, startAgain, app, async () => {
      await bus.close();
      await agents.stop();
      await database.close();
      await rm(folder, { recursive: true, force: true });
    });
    for (const id of ['host-a', 'host-b']) {
      const agentUrl = await agents.start(id);
      await control.api.post<HostView>('/hosts', { agentUrl });
    }
    return control;
  }

  get api(): ApiClient {
    return new ApiClient({ url: this.app.url, token: TOKEN });
  }

  /** All services stop and start again, on the same data. */
  async restart(): Promise<void> {
    await this.app.close();
    this.app = await this.restartApp();
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.release();
  }

  register(name: string, disk: string): Promise<ServerView> {
    return this.api.post<ServerView>('/servers', {
      name,
      disk: { path: disk, format: 'raw' },
      probe: 'http:80/',
    });
  }

  /** Plans and starts; answers the migration's id. */
  async begin(serverId: string, targetHostId: string, more: object = {}): Promise<string> {
    const { migrationId } = await this.api.postSettled<MigrationView>('/migrations', {
      serverId,
      targetHostId,
      ...more,
    });
    await this.api.post(`/migrations/${migrationId}/start`);
    return migrationId;
  }

  get(migrationId: string): Promise<MigrationView> {
    return this.api.get<MigrationView>(`/migrations/${migrationId}`);
  }

  end(migrationId: string): Promise<MigrationView> {
    return this.until(migrationId, ({ status }) => END.has(status));
  }

  async until(migrationId: string, isThere: (migration: MigrationView) => boolean): Promise<MigrationView> {
    const patience = Date.now() + 60_000;
    for (;;) {
      const migration = await this.get(migrationId);
      if (isThere(migration)) return migration;
      if (Date.now() > patience)
        throw new Error(`After a minute the migration is still ${migration.status} in ${migration.phase}.`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The journal, once it holds the event that ended the migration. */
  async journal(migrationId: string): Promise<JournalView[]> {
    const patience = Date.now() + 20_000;
    for (;;) {
      const events = await this.api.get<JournalView[]>(`/migrations/${migrationId}/events`);
      const isWhole = events.some(({ type }) => /^migration\.(completed|rolled-back|stalled)$/.test(type));
      if (isWhole || Date.now() > patience) return events;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
