import type { ServerFacts } from '@watari/contracts-inventory';
import { type Projection, readStored } from '@watari/event-sourcing';
import { Column, Entity, type MigrationInterface, PrimaryColumn, type QueryRunner } from 'typeorm';
import { type HostFacts, host } from '../domain/host';
import { server } from '../domain/server';

@Entity('server_views')
export class ServerView {
  @PrimaryColumn('uuid', { name: 'server_id' }) serverId!: string;
  @Column('text') name!: string;
  @Column('text') probe!: string;
  @Column('integer', { name: 'memory_mib' }) memoryMiB!: number;
  @Column('integer') vcpus!: number;
  @Column('jsonb') facts!: ServerFacts;
}

@Entity('host_views')
export class HostView {
  @PrimaryColumn('text', { name: 'host_id' }) hostId!: string;
  @Column('jsonb') facts!: HostFacts;
}

export class InventoryViews1764000001000 implements MigrationInterface {
  readonly name = 'InventoryViews1764000001000';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE inventory.server_views (
        server_id  uuid    PRIMARY KEY,
        name       text    NOT NULL,
        probe      text    NOT NULL,
        memory_mib integer NOT NULL,
        vcpus      integer NOT NULL,
        facts      jsonb   NOT NULL
      );
      CREATE INDEX server_views_name ON inventory.server_views (name);
      CREATE TABLE inventory.host_views (host_id text PRIMARY KEY, facts jsonb NOT NULL);
    `);
  }
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE inventory.server_views, inventory.host_views');
  }
}

export const inventoryViews: Projection = {
  name: 'inventory-views',
  async apply(raw, manager) {
    if (raw.stream.aggregate === 'server') {
      const { event } = readStored(server, raw);
      const serverId = raw.stream.id;
      if (event.type === 'ServerRegistered') {
        const { name, probe, memoryMiB, vcpus, facts } = event.data;
        await manager.upsert(
          ServerView,
          { serverId, name, probe, memoryMiB, vcpus, facts: facts as object },
          ['serverId'],
        );
      } else {
        await manager.update(ServerView, { serverId }, { facts: event.data.facts as object });
      }
    }
    if (raw.stream.aggregate === 'host') {
      const { at: _at, ...facts } = readStored(host, raw).event.data;
      await manager.upsert(HostView, { hostId: raw.stream.id, facts }, ['hostId']);
    }
  },
  async clear(manager) {
    await manager.clear(ServerView);
    await manager.clear(HostView);
  },
};
