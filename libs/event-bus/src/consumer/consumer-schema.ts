import type { MigrationInterface, QueryRunner } from 'typeorm';
import { quoteName } from '../postgres/postgres-schema';

/**
 * What a service keeps of its consuming, in its own schema: `inbox` names each event that a group has handled, so
 * that a repeat changes nothing; `consumer_offsets` is where each group goes on, moved by the same transaction.
 * Offsets are of one log: a service that is moved from one bus to another begins anew on the other.
 */
export function consumerMigration(schema: string): new () => MigrationInterface {
  const s = quoteName(schema);
  return class Consumers1764000000002 implements MigrationInterface {
    readonly name = 'Consumers1764000000002';
    async up(runner: QueryRunner): Promise<void> {
      await runner.query(`
        CREATE TABLE ${s}.inbox (
          group_name text        NOT NULL,
          event_id   text        NOT NULL,
          handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
          PRIMARY KEY (group_name, event_id)
        );
        CREATE INDEX inbox_handled ON ${s}.inbox (handled_at);
        CREATE TABLE ${s}.consumer_offsets (
          group_name   text    NOT NULL,
          log_identity text    NOT NULL,
          topic        text    NOT NULL,
          partition    integer NOT NULL,
          next_offset  bigint  NOT NULL,
          PRIMARY KEY (group_name, log_identity, topic, partition)
        ) WITH (fillfactor = 50);
      `);
    }
    async down(runner: QueryRunner): Promise<void> {
      await runner.query(`DROP TABLE ${s}.inbox, ${s}.consumer_offsets`);
    }
  };
}
