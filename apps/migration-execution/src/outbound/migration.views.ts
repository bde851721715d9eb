import { type Projection, readStored } from '@watari/event-sourcing';
import { Column, Entity, type MigrationInterface, PrimaryColumn, type QueryRunner } from 'typeorm';
import { type MigrationEvent, migration } from '../domain/migration';

/** One line per migration, for lists. What decides is always read from the event store. */
@Entity('migration_views')
export class MigrationView {
  @PrimaryColumn('uuid', { name: 'migration_id' }) migrationId!: string;
  @Column('uuid', { name: 'server_id' }) serverId!: string;
  @Column('text') kind!: string;
  @Column('text', { name: 'target_host_id' }) targetHostId!: string;
  @Column('text') status!: string;
  @Column('text', { nullable: true }) phase!: string | null;
  @Column('timestamptz', { name: 'planned_at' }) plannedAt!: Date;
  @Column('timestamptz', { name: 'changed_at' }) changedAt!: Date;
}

/** Public events of every service that belong to a migration, in the order in which they arrived here. */
@Entity('journal')
export class JournalEntry {
  @PrimaryColumn('text', { name: 'event_id' }) eventId!: string;
  /** Counts arrivals; made by the database. */
  @Column({ type: 'bigint', insert: false, update: false }) arrival!: string;
  @Column('uuid', { name: 'migration_id' }) migrationId!: string;
  @Column('text') type!: string;
  @Column('integer') version!: number;
  @Column('text') source!: string;
  @Column('timestamptz') time!: Date;
  @Column('text', { name: 'causation_id' }) causationId!: string;
  @Column('jsonb') data!: object;
}

export class MigrationViews1764000001000 implements MigrationInterface {
  readonly name = 'MigrationViews1764000001000';
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE migration_execution.migration_views (
        migration_id   uuid        PRIMARY KEY,
        server_id      uuid        NOT NULL,
        kind           text        NOT NULL,
        target_host_id text        NOT NULL,
        status         text        NOT NULL,
        phase          text,
        planned_at     timestamptz NOT NULL,
        changed_at     timestamptz NOT NULL
      );
      CREATE INDEX migration_views_planned ON migration_execution.migration_views (planned_at);
      CREATE TABLE migration_execution.journal (
        event_id     text        PRIMARY KEY,
        arrival      bigint      GENERATED ALWAYS AS IDENTITY,
        migration_id uuid        NOT NULL,
        type         text        NOT NULL,
        version      integer     NOT NULL,
        source       text        NOT NULL,
        time         timestamptz NOT NULL,
        causation_id text        NOT NULL,
        data         jsonb       NOT NULL
      );
      CREATE INDEX journal_migration ON migration_execution.journal (migration_id, arrival);
    `);
  }
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE migration_execution.migration_views, migration_execution.journal');
  }
}

const STATUS_AFTER: Partial<Record<MigrationEvent['type'], string>> = {
  MigrationStarted: 'running',
  RollBackStarted: 'rolling-back',
  UndoStarted: 'rolling-back',
  MigrationRolledBack: 'rolled-back',
  MigrationStalled: 'stalled',
  MigrationCompleted: 'completed',
};

export const migrationViews: Projection = {
  name: 'migration-views',
  async apply(raw, manager) {
    if (raw.stream.aggregate !== migration.name) return;
    const { event } = readStored(migration, raw);
    const migrationId = raw.stream.id;
    const changedAt = raw.recordedAt;
    if (event.type === 'MigrationPlanned') {
      const { serverId, kind, targetHostId } = event.data.assignment;
      await manager.upsert(
        MigrationView,
        {
          migrationId,
          serverId,
          kind,
          targetHostId,
          status: 'planned',
          phase: null,
          plannedAt: changedAt,
          changedAt,
        },
        ['migrationId'],
      );
      return;
    }
    const status = event.type === 'PhaseStarted' ? 'running' : STATUS_AFTER[event.type];
    await manager.update(
      MigrationView,
      { migrationId },
      {
        changedAt,
        ...(status && { status }),
        ...(event.type === 'PhaseStarted' && { phase: event.data.phase }),
      },
    );
  },
  async clear(manager) {
    await manager.clear(MigrationView);
  },
};
