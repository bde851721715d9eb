import type { PublicEvent, EventContract } from '@watari/contracts-base';
import type { TlsMaterial } from '@watari/host-agent-client';
import type { EventBus } from '@watari/event-bus';
import type { OutboxRecord, PostgresEventStore, Projection, RawStoredEvent } from '@watari/event-sourcing';
import type { Provider, Type } from '@nestjs/common';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DataSource, EntityManager, EntitySchema, MigrationInterface } from 'typeorm';
import type { JobHandler, JobQueue } from './jobs';

/** What a running service works with: its own schema of the database, the bus, a log, a clock. */
export interface ServiceContext {
  readonly service: string;
  readonly schema: string;
  readonly pool: Pool;
  readonly dataSource: DataSource;
  readonly store: PostgresEventStore;
  readonly jobs: JobQueue;
  readonly bus: EventBus;
  readonly logger: Logger;
  /** Where the service may keep files, such as disks under conversion. */
  readonly dataFolder: string;
  /** The certificate by which host agents know the control plane. */
  agentTls(): Promise<TlsMaterial>;
  now(): Date;
}

/** Follows other services' topics. `react` runs idempotent commands; `project` writes views inside the consumer's transaction. */
export type ConsumerSpec = {
  readonly name: string;
  readonly catalogue: ReadonlyMap<string, EventContract>;
  readonly topics: readonly string[];
} & (
  | { readonly mode: 'react'; handle(event: PublicEvent): Promise<void> }
  | { readonly mode: 'project'; handle(event: PublicEvent, manager: EntityManager): Promise<void> }
);

/** A service's ports and adapters, named together. */
export interface ServiceParts {
  readonly controllers: readonly Type[];
  readonly providers: readonly Provider[];
  /** Chooses what becomes public of what is stored. Pure. */
  publish(event: RawStoredEvent): readonly OutboxRecord[];
  readonly projections?: readonly Projection[];
  readonly consumers?: readonly ConsumerSpec[];
  readonly jobs?: Readonly<Record<string, JobHandler>>;
}

export interface ServiceDefinition {
  /** Kebab-case; the schema is the same with `_`. */
  readonly name: string;
  readonly description: string;
  /** The topics that this service writes. */
  readonly topics: readonly string[];
  /** Topics it reads, made at start too, so that services may start in any order. */
  readonly reads: readonly string[];
  readonly entities: readonly (EntitySchema | (new () => object))[];
  migrations(schema: string): readonly (new () => MigrationInterface)[];
  create(context: ServiceContext): ServiceParts;
}

export const SERVICE_CONTEXT = Symbol('ServiceContext');
