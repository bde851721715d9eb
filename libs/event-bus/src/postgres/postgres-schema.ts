import type { Pool } from 'pg';
import { BusError } from '../errors';

/** Raised with each change of the tables below; each step goes from one version to the next. */
const STEPS: readonly ((s: string) => string)[] = [createLog];

export function quoteName(schema: string): string {
  if (!/^[a-z_][a-z0-9_]{0,40}$/.test(schema)) {
    throw new BusError(
      'BUS_NAME_INVALID',
      `"${schema}" is no schema name: a-z, 0-9 and _, at most 41 characters.`,
    );
  }
  return `"${schema}"`;
}

/** Makes or updates the bus's tables; safe when many processes start at once. Throws BUS_SCHEMA_NEWER. */
export async function ensureSchema(pool: Pool, schema: string): Promise<void> {
  const s = quoteName(schema);
  const client = await pool.connect();
  // Between two queries nobody else hears of a connection that breaks; the next query says so.
  const passOver = (): void => undefined;
  client.on('error', passOver);
  try {
    await client.query('BEGIN');
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('watari bus ' || $1, 0))`, [schema]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${s}`);
    await client.query(`CREATE TABLE IF NOT EXISTS ${s}.schema_version (version integer NOT NULL)`);
    const { rows } = await client.query<{ version: number }>(`SELECT version FROM ${s}.schema_version`);
    const version = rows[0]?.version ?? 0;
    if (version > STEPS.length) {
      throw new BusError(
        'BUS_SCHEMA_NEWER',
        `The bus's tables are of version ${version}; this program knows ${STEPS.length}. Run the newer program.`,
      );
    }
    for (const step of STEPS.slice(version)) await client.query(step(s));
    if (version < STEPS.length) {
      await client.query(`DELETE FROM ${s}.schema_version`);
      await client.query(`INSERT INTO ${s}.schema_version VALUES ($1)`, [STEPS.length]);
    }
    await client.query('COMMIT');
    client.off('error', passOver);
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/**
 * Offsets are numbered under a counter row per partition. Its row lock is held until the publisher commits, so
 * offsets are dense and become visible in their order: whoever sees offset n has seen everything below it. (A
 * sequence would give numbers that commit later than higher ones, and readers would pass over them.)
 *
 * `claims.fence` counts owners. Every write of an owner names its fence, so one that was replaced while it slept
 * changes nothing.
 */
function createLog(s: string): string {
  return `
    CREATE TABLE ${s}.log_identity AS SELECT gen_random_uuid() AS id;

    CREATE TABLE ${s}.topics (
      name          text    PRIMARY KEY,
      partitions    integer NOT NULL,
      retention_ms  bigint  NOT NULL
    );

    CREATE TABLE ${s}.partitions (
      topic        text    NOT NULL REFERENCES ${s}.topics (name),
      partition    integer NOT NULL,
      next_offset  bigint  NOT NULL DEFAULT 0,
      PRIMARY KEY (topic, partition)
    ) WITH (fillfactor = 20);

    CREATE TABLE ${s}.records (
      topic        text        NOT NULL,
      partition    integer     NOT NULL,
      "offset"     bigint      NOT NULL,
      key          text        NOT NULL,
      headers      json        NOT NULL,
      value        bytea       NOT NULL,
      recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (topic, partition, "offset")
    );

    CREATE TABLE ${s}.members (
      group_name  text        NOT NULL,
      member      text        NOT NULL,
      topics      text[]      NOT NULL,
      session_ms  integer     NOT NULL,
      seen_at     timestamptz NOT NULL,
      PRIMARY KEY (group_name, member)
    ) WITH (fillfactor = 50);

    CREATE TABLE ${s}.claims (
      group_name   text    NOT NULL,
      topic        text    NOT NULL,
      partition    integer NOT NULL,
      next_offset  bigint  NOT NULL DEFAULT 0,
      fence        integer NOT NULL DEFAULT 0,
      owner        text,
      PRIMARY KEY (group_name, topic, partition),
      FOREIGN KEY (topic, partition) REFERENCES ${s}.partitions (topic, partition)
    ) WITH (fillfactor = 50);

    CREATE FUNCTION ${s}.publish(
      p_topic text, p_partitions integer[], p_keys text[], p_headers text[], p_values bytea[]
    ) RETURNS void LANGUAGE plpgsql AS $body$
    DECLARE
      part record;
      base bigint;
    BEGIN
      -- In one order, so that two publishers cannot wait for each other.
      FOR part IN SELECT p AS id, count(*) AS records FROM unnest(p_partitions) AS p GROUP BY p ORDER BY p LOOP
        UPDATE ${s}.partitions SET next_offset = next_offset + part.records
          WHERE topic = p_topic AND partition = part.id
          RETURNING next_offset - part.records INTO base;
        IF NOT FOUND THEN
          RAISE EXCEPTION 'topic % has no partition %', p_topic, part.id USING ERRCODE = 'WB001';
        END IF;
        INSERT INTO ${s}.records (topic, partition, "offset", key, headers, value)
          SELECT p_topic, part.id, base + row_number() OVER (ORDER BY r.ordinality) - 1, r.key, r.headers::json, r.value
          FROM unnest(p_partitions, p_keys, p_headers, p_values)
            WITH ORDINALITY AS r(partition, key, headers, value, ordinality)
          WHERE r.partition = part.id;
      END LOOP;
      PERFORM pg_notify('${s.slice(1, -1)}', 'topic ' || p_topic);
    END $body$;

    -- A sign of life. False when the member was not known (any more): it has joined now and owns nothing.
    CREATE FUNCTION ${s}.beat(p_group text, p_member text, p_topics text[], p_session_ms integer)
    RETURNS boolean LANGUAGE plpgsql AS $body$
    DECLARE
      was_known boolean;
    BEGIN
      UPDATE ${s}.members SET seen_at = clock_timestamp() WHERE group_name = p_group AND member = p_member;
      was_known := FOUND;
      IF NOT was_known THEN
        INSERT INTO ${s}.members VALUES (p_group, p_member, p_topics, p_session_ms, clock_timestamp());
        INSERT INTO ${s}.claims (group_name, topic, partition)
          SELECT p_group, topic, partition FROM ${s}.partitions WHERE topic = ANY (p_topics)
          ORDER BY topic, partition ON CONFLICT DO NOTHING;
        PERFORM pg_notify('${s.slice(1, -1)}', 'group ' || p_group);
      END IF;
      DELETE FROM ${s}.members
        WHERE group_name = p_group AND seen_at < clock_timestamp() - session_ms * interval '1 millisecond';
      RETURN was_known;
    END $body$;

    -- Takes a partition that nobody alive owns. No row when somebody does.
    CREATE FUNCTION ${s}.claim(p_group text, p_member text, p_topic text, p_partition integer)
    RETURNS TABLE (claimed_fence integer, claimed_next bigint) LANGUAGE sql AS $body$
      UPDATE ${s}.claims AS c SET owner = p_member, fence = fence + 1
        WHERE c.group_name = p_group AND c.topic = p_topic AND c.partition = p_partition
          AND (c.owner IS NULL OR NOT EXISTS (
            SELECT FROM ${s}.members AS m WHERE m.group_name = p_group AND m.member = c.owner))
          AND EXISTS (SELECT FROM ${s}.members AS m WHERE m.group_name = p_group AND m.member = p_member)
        RETURNING c.fence, c.next_offset;
    $body$;
  `;
}
