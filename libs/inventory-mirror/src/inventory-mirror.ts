import type { PublicEvent } from '@watari/contracts-base';
import {
  HostRegistered,
  type InventoryEvent,
  type ServerFacts,
  ServerRegistered,
  inventoryCatalogue,
} from '@watari/contracts-inventory';
import { never, quoteSchema } from '@watari/event-sourcing';
import type { ConsumerSpec, ServiceContext } from '@watari/service-kit';
import {
  Column,
  Entity,
  type EntityManager,
  type MigrationInterface,
  PrimaryColumn,
  type QueryRunner,
} from 'typeorm';

@Entity('known_servers')
export class KnownServer {
  @PrimaryColumn('uuid', { name: 'server_id' }) serverId!: string;
  @Column('text') name!: string;
  @Column('text') probe!: string;
  @Column('integer', { name: 'memory_mib' }) memoryMiB!: number;
  @Column('integer') vcpus!: number;
  @Column('jsonb') facts!: ServerFacts;
}

@Entity('known_hosts')
export class KnownHost {
  @PrimaryColumn('text', { name: 'host_id' }) hostId!: string;
  @Column('text', { name: 'agent_url' }) agentUrl!: string;
  @Column('jsonb') data!: { host: string; port: number };
  @Column('text', { name: 'hypervisor_version' }) hypervisorVersion!: string;
  @Column('text') accelerator!: 'kvm' | 'tcg';
  @Column('integer', { name: 'cpu_sockets' }) cpuSockets!: number;
  @Column('integer', { name: 'cpu_cores' }) cpuCores!: number;
  @Column('integer', { name: 'memory_mib' }) memoryMiB!: number;
}

export function inventoryMirrorMigration(schema: string): new () => MigrationInterface {
  const s = quoteSchema(schema);
  return class InventoryMirror1764000000100 implements MigrationInterface {
    readonly name = 'InventoryMirror1764000000100';
    async up(runner: QueryRunner): Promise<void> {
      await runner.query(`
        CREATE TABLE ${s}.known_servers (
          server_id  uuid    PRIMARY KEY,
          name       text    NOT NULL,
          probe      text    NOT NULL,
          memory_mib integer NOT NULL,
          vcpus      integer NOT NULL,
          facts      jsonb   NOT NULL
        );
        CREATE TABLE ${s}.known_hosts (
          host_id            text    PRIMARY KEY,
          agent_url          text    NOT NULL,
          data               jsonb   NOT NULL,
          hypervisor_version text    NOT NULL,
          accelerator        text    NOT NULL,
          cpu_sockets        integer NOT NULL,
          cpu_cores          integer NOT NULL,
          memory_mib         integer NOT NULL
        );
      `);
    }
    async down(runner: QueryRunner): Promise<void> {
      await runner.query(`DROP TABLE ${s}.known_servers, ${s}.known_hosts`);
    }
  };
}

/** Inventory has not told this service about it yet. Asking again a moment later may help. */
class NotYetKnown extends Error {
  readonly code = 'INVENTORY_NOT_YET_KNOWN';
  readonly canRetry = true;
}

/** What a service remembers of inventory's events, in tables of its own: it never asks inventory. */
export class InventoryMirror {
  static readonly topics = [ServerRegistered.topic, HostRegistered.topic] as const;
  static readonly entities = [KnownServer, KnownHost] as const;

  constructor(private readonly context: ServiceContext) {}

  findServer(serverId: string): Promise<KnownServer | null> {
    return this.context.dataSource.getRepository(KnownServer).findOneBy({ serverId });
  }

  findHost(hostId: string): Promise<KnownHost | null> {
    return this.context.dataSource.getRepository(KnownHost).findOneBy({ hostId });
  }

  /** Rejects with a retriable error when the event that names it has not arrived: topics overtake each other. */
  async expectServer(serverId: string): Promise<KnownServer> {
    const found = await this.findServer(serverId);
    if (!found) throw new NotYetKnown(`No event about the server ${serverId} has arrived yet.`);
    return found;
  }

  async expectHost(hostId: string): Promise<KnownHost> {
    const found = await this.findHost(hostId);
    if (!found) throw new NotYetKnown(`No event about the host ${hostId} has arrived yet.`);
    return found;
  }

  consumer(): ConsumerSpec {
    return {
      name: 'inventory-mirror',
      catalogue: inventoryCatalogue,
      topics: InventoryMirror.topics,
      mode: 'project',
      handle: (event, manager) => remember(event as PublicEvent as InventoryEvent, manager),
    };
  }
}

async function remember(event: InventoryEvent, manager: EntityManager): Promise<void> {
  switch (event.type) {
    case 'server.registered': {
      const { serverId, name, probe, memoryMiB, vcpus, facts } = event.data;
      await manager.upsert(KnownServer, { serverId, name, probe, memoryMiB, vcpus, facts: facts as object }, [
        'serverId',
      ]);
      return;
    }
    case 'server.facts-changed':
      await manager.update(
        KnownServer,
        { serverId: event.data.serverId },
        { facts: event.data.facts as object },
      );
      return;
    case 'host.registered': {
      const { at: _at, platform: _platform, ...host } = event.data;
      await manager.upsert(KnownHost, host, ['hostId']);
      return;
    }
    default:
      never(event);
  }
}
