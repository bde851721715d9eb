import type { MigrationInterface, QueryRunner } from 'typeorm';

const SCHEMA_PATTERN = /^[a-z][a-z0-9_]{0,40}$/;

/** Quotes a schema name; refuses one that is not a plain lower-case identifier. */
export function quoteSchema(schema: string): string {
  if (!SCHEMA_PATTERN.test(schema)) throw new Error(`"${schema}" is no schema name: use a-z, 0-9 and _.`);
  return `"${schema}"`;
}

/**
 * The event store's tables in one schema.
 *
 * Two traps shape the order of reading:
 * - *Gap*: positions are taken before commit. A reader that remembers "the last position seen" passes over a
 *   lower position that commits later. So readers go by (transaction, position) and stop below
 *   `pg_snapshot_xmin`: below it nothing can still commit.
 * - *Inversion*: a transaction that wrote something else first holds an older id than the events it then
 *   appends, so version 2 of a stream could sort before version 1. So an append must be its transaction's
 *   first write; `append_events` refuses otherwise.
 */
export function eventStoreMigration(schema: string): new () => MigrationInterface {
  const s = quoteSchema(schema);
  return class EventStore1764000000000 implements MigrationInterface {
    readonly name = 'EventStore1764000000000';

    async up(runner: QueryRunner): Promise<void> {
      await runner.query(`
        CREATE TABLE ${s}.events (
          transaction      xid8        NOT NULL DEFAULT pg_current_xact_id(),
          position         bigint      GENERATED ALWAYS AS IDENTITY,
          stream           text        NOT NULL,
          stream_version   integer     NOT NULL,
          event_id         uuid        NOT NULL DEFAULT gen_random_uuid() UNIQUE,
          type             text        NOT NULL,
          version          integer     NOT NULL,
          data             jsonb       NOT NULL,
          command_id       text        NOT NULL,
          correlation_id   text        NOT NULL,
          causation_id     text        NOT NULL,
          recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
          PRIMARY KEY (stream, stream_version)
        );
        CREATE UNIQUE INDEX events_global_order ON ${s}.events (transaction, position);

        CREATE TABLE ${s}.commands (
          stream         text    NOT NULL,
          command_id     text    NOT NULL,
          first_version  integer NOT NULL,
          last_version   integer NOT NULL,
          PRIMARY KEY (stream, command_id)
        );

        CREATE TABLE ${s}.snapshots (
          stream         text    PRIMARY KEY,
          stream_version integer NOT NULL,
          state_version  integer NOT NULL,
          state          jsonb   NOT NULL
        );

        CREATE TABLE ${s}.checkpoints (
          name        text        PRIMARY KEY,
          position    text        NOT NULL,
          updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
        );

        CREATE FUNCTION ${s}.append_events(
          p_stream text, p_expected integer, p_events jsonb, p_command text, p_correlation text, p_causation text
        ) RETURNS SETOF ${s}.events LANGUAGE plpgsql AS $body$
        DECLARE
          current_version integer;
        BEGIN
          IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
            RAISE EXCEPTION 'append_events must be the first write of its transaction' USING ERRCODE = 'WT001';
          END IF;
          SELECT coalesce(max(stream_version), 0) INTO current_version FROM ${s}.events WHERE stream = p_stream;
          IF current_version <> p_expected THEN
            RAISE EXCEPTION 'stream % is at version %, not %', p_stream, current_version, p_expected USING ERRCODE = 'WT002';
          END IF;
          INSERT INTO ${s}.commands (stream, command_id, first_version, last_version)
            VALUES (p_stream, p_command, p_expected + 1, p_expected + jsonb_array_length(p_events));
          RETURN QUERY
            INSERT INTO ${s}.events (stream, stream_version, type, version, data, command_id, correlation_id, causation_id)
            SELECT p_stream, p_expected + e.ordinal, e.event->>'type', (e.event->>'version')::integer, e.event->'data',
                   p_command, p_correlation, p_causation
            FROM jsonb_array_elements(p_events) WITH ORDINALITY AS e(event, ordinal)
            ORDER BY e.ordinal
            RETURNING *;
        END $body$;
      `);
    }

    async down(runner: QueryRunner): Promise<void> {
      await runner.query(`
        DROP FUNCTION ${s}.append_events;
        DROP TABLE ${s}.checkpoints, ${s}.snapshots, ${s}.commands, ${s}.events;
      `);
    }
  };
}
