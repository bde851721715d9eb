import { chunksOf } from '../chunks';
import type { Pool } from 'pg';
import { BusError } from '../errors';
import type { BusRecord, OutgoingRecord, PartitionEnds, PartitionLag, ReadOptions } from '../event-bus';
import { partitionOf } from '../murmur2';
import { quoteName } from './postgres-schema';

/** What one statement carries at most; a larger publish goes out in several, in order. */
const STATEMENT_RECORDS_MAX = 1000;
const STATEMENT_BYTES_MAX = 8 * 1024 * 1024;
/** A batch's values together, beyond the first record. */
const FETCH_BYTES_MAX = 8 * 1024 * 1024;

export interface Claim {
  readonly group: string;
  readonly member: string;
  readonly topic: string;
  readonly partition: number;
  readonly fence: number;
}

/** The SQL of the bus: each method is one statement, and so one transaction. */
export class PostgresLog {
  private readonly s: string;

  constructor(
    readonly pool: Pool,
    schema: string,
  ) {
    this.s = quoteName(schema);
  }

  async identity(): Promise<string> {
    const { rows } = await this.pool.query<{ id: string }>(`SELECT id FROM ${this.s}.log_identity`);
    return `postgres:${rows[0]?.id ?? ''}`;
  }

  /** The topic's partition count as it stands afterwards, whoever made it. */
  async ensureTopic(name: string, partitions: number, retentionMs: number): Promise<number> {
    const { rows } = await this.pool.query<{ partitions: number }>(
      `WITH made AS (
         INSERT INTO ${this.s}.topics VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name
       ), numbered AS (
         INSERT INTO ${this.s}.partitions (topic, partition)
           SELECT name, generate_series(0, $2 - 1) FROM made
       )
       SELECT $2::integer AS partitions FROM made
       UNION ALL SELECT partitions FROM ${this.s}.topics WHERE name = $1`,
      [name, partitions, retentionMs],
    );
    // Another process made it between the two looks of the statement: a second look sees it.
    return rows[0]?.partitions ?? this.ensureTopic(name, partitions, retentionMs);
  }

  async partitionCount(topic: string): Promise<number | undefined> {
    const { rows } = await this.pool.query<{ partitions: number }>(
      `SELECT partitions FROM ${this.s}.topics WHERE name = $1`,
      [topic],
    );
    return rows[0]?.partitions;
  }

  async publish(topic: string, partitionCount: number, records: readonly OutgoingRecord[]): Promise<void> {
    for (const chunk of chunksOf(records, {
      recordsMax: STATEMENT_RECORDS_MAX,
      bytesMax: STATEMENT_BYTES_MAX,
    })) {
      await this.pool.query({
        name: `publish ${this.s}`,
        text: `SELECT ${this.s}.publish($1, $2, $3, $4, $5)`,
        values: [
          topic,
          chunk.map(({ key }) => partitionOf(key, partitionCount)),
          chunk.map(({ key }) => key),
          chunk.map(({ headers }) => JSON.stringify(headers)),
          chunk.map(({ value }) => Buffer.from(value as Uint8Array)),
        ],
      });
    }
  }

  async fetch(topic: string, { partition, fromOffset, recordsMax }: ReadOptions): Promise<BusRecord[]> {
    const { rows } = await this.pool.query<RecordRow>({
      name: `fetch ${this.s}`,
      text: `SELECT "offset", key, headers, value, recorded_at FROM (
               SELECT *, row_number() OVER w AS ordinal, sum(octet_length(value)) OVER w AS bytes FROM (
                 SELECT * FROM ${this.s}.records
                 WHERE topic = $1 AND partition = $2 AND "offset" >= $3 ORDER BY "offset" LIMIT $4
               ) AS next WINDOW w AS (ORDER BY "offset")
             ) AS measured WHERE bytes <= $5 OR ordinal = 1 ORDER BY "offset"`,
      values: [topic, partition, fromOffset.toString(), recordsMax, FETCH_BYTES_MAX],
    });
    return rows.map((row) => ({
      topic,
      partition,
      offset: BigInt(row.offset),
      key: row.key,
      headers: row.headers,
      value: row.value,
      at: row.recorded_at,
    }));
  }

  async ends(topic: string): Promise<PartitionEnds[]> {
    const { rows } = await this.pool.query<{ partition: number; first: string; next_offset: string }>(
      `SELECT p.partition, p.next_offset,
              coalesce((SELECT min(r."offset") FROM ${this.s}.records AS r
                        WHERE r.topic = p.topic AND r.partition = p.partition), p.next_offset) AS first
       FROM ${this.s}.partitions AS p WHERE p.topic = $1 ORDER BY p.partition`,
      [topic],
    );
    return rows.map((row) => ({
      partition: row.partition,
      first: BigInt(row.first),
      end: BigInt(row.next_offset),
    }));
  }

  /** The end of each of the given partitions, in the same order. */
  async endsOf(
    partitions: readonly { topic: string; partition: number }[],
  ): Promise<{ topic: string; partition: number; end: bigint }[]> {
    const { rows } = await this.pool.query<{ topic: string; partition: number; next_offset: string }>({
      name: `ends ${this.s}`,
      text: `SELECT topic, partition, next_offset FROM ${this.s}.partitions
             JOIN unnest($1::text[], $2::integer[]) AS asked(topic, partition) USING (topic, partition)`,
      values: [partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
    });
    return rows.map(({ topic, partition, next_offset }) => ({ topic, partition, end: BigInt(next_offset) }));
  }

  async lag(group: string): Promise<PartitionLag[]> {
    const { rows } = await this.pool.query<{ topic: string; partition: number; next: string; end: string }>(
      `SELECT topic, partition, c.next_offset AS next, p.next_offset AS end
       FROM ${this.s}.claims AS c JOIN ${this.s}.partitions AS p USING (topic, partition)
       WHERE c.group_name = $1 ORDER BY topic, partition`,
      [group],
    );
    return rows.map(({ topic, partition, next, end }) => ({
      topic,
      partition,
      next: BigInt(next),
      end: BigInt(end),
      records: Number(BigInt(end) - BigInt(next)),
    }));
  }

  async beat(group: string, member: string, topics: readonly string[], sessionMs: number): Promise<boolean> {
    const { rows } = await this.pool.query<{ beat: boolean }>(
      `SELECT ${this.s}.beat($1, $2, $3, $4) AS beat`,
      [group, member, topics, sessionMs],
    );
    return rows[0]?.beat ?? false;
  }

  async group(group: string): Promise<{
    members: { member: string; topics: string[] }[];
    claims: { topic: string; partition: number; owner: string | null }[];
  }> {
    const members = await this.pool.query<{ member: string; topics: string[] }>(
      `SELECT member, topics FROM ${this.s}.members WHERE group_name = $1`,
      [group],
    );
    const claims = await this.pool.query<{ topic: string; partition: number; owner: string | null }>(
      `SELECT topic, partition, owner FROM ${this.s}.claims WHERE group_name = $1`,
      [group],
    );
    return { members: members.rows, claims: claims.rows };
  }

  async claim(
    group: string,
    member: string,
    topic: string,
    partition: number,
  ): Promise<{ fence: number; next: bigint } | undefined> {
    const { rows } = await this.pool.query<{ claimed_fence: number; claimed_next: string }>(
      `SELECT * FROM ${this.s}.claim($1, $2, $3, $4)`,
      [group, member, topic, partition],
    );
    return rows[0] && { fence: rows[0].claimed_fence, next: BigInt(rows[0].claimed_next) };
  }

  async fenceOf(group: string, topic: string, partition: number, owner: string): Promise<number | undefined> {
    const { rows } = await this.pool.query<{ fence: number }>(
      `SELECT fence FROM ${this.s}.claims
       WHERE group_name = $1 AND topic = $2 AND partition = $3 AND owner = $4`,
      [group, topic, partition, owner],
    );
    return rows[0]?.fence;
  }

  /** False when the claim is no longer this owner's. */
  async commit(claim: Claim, next: bigint): Promise<boolean> {
    const { rowCount } = await this.pool.query({
      name: `commit ${this.s}`,
      text: `UPDATE ${this.s}.claims SET next_offset = $6
             WHERE group_name = $1 AND topic = $2 AND partition = $3 AND owner = $4 AND fence = $5`,
      values: [claim.group, claim.topic, claim.partition, claim.member, claim.fence, next.toString()],
    });
    return rowCount === 1;
  }

  async release(claim: Claim): Promise<void> {
    await this.pool.query(
      `WITH given AS (
         UPDATE ${this.s}.claims SET owner = NULL
         WHERE group_name = $1 AND topic = $2 AND partition = $3 AND owner = $4 AND fence = $5 RETURNING 1
       ) SELECT pg_notify($6, 'group ' || $1) FROM given`,
      [claim.group, claim.topic, claim.partition, claim.member, claim.fence, this.s.slice(1, -1)],
    );
  }

  async leave(group: string, member: string): Promise<void> {
    await this.pool.query(
      `WITH gone AS (DELETE FROM ${this.s}.members WHERE group_name = $1 AND member = $2 RETURNING 1)
       SELECT pg_notify($3, 'group ' || $1) FROM gone`,
      [group, member, this.s.slice(1, -1)],
    );
  }

  /** Removes records past their topic's retention that every group of the topic has been given. Returns how many. */
  async prune(topic: string, partition: number, recordsMax: number): Promise<number> {
    const { rowCount } = await this.pool.query(
      `DELETE FROM ${this.s}.records AS r USING (
         SELECT "offset" FROM ${this.s}.records
         WHERE topic = $1 AND partition = $2
           AND "offset" < coalesce((SELECT min(next_offset) FROM ${this.s}.claims
                                    WHERE topic = $1 AND partition = $2), 9223372036854775807)
         ORDER BY "offset" LIMIT $3
       ) AS oldest
       WHERE r.topic = $1 AND r.partition = $2 AND r."offset" = oldest."offset"
         AND r.recorded_at < clock_timestamp()
             - (SELECT retention_ms FROM ${this.s}.topics WHERE name = $1) * interval '1 millisecond'`,
      [topic, partition, recordsMax],
    );
    return rowCount ?? 0;
  }

  async allPartitions(): Promise<{ topic: string; partition: number }[]> {
    const { rows } = await this.pool.query<{ topic: string; partition: number }>(
      `SELECT topic, partition FROM ${this.s}.partitions ORDER BY topic, partition`,
    );
    return rows;
  }
}

interface RecordRow {
  offset: string;
  key: string;
  headers: Record<string, string>;
  value: Buffer;
  recorded_at: Date;
}

/** Another topic or partition than the tables hold; nothing was written. */
export function asTopicUnknown(error: unknown, topic: string): unknown {
  if ((error as { code?: unknown } | null)?.code !== 'WB001') return error;
  return new BusError('BUS_TOPIC_UNKNOWN', `There is no topic ${topic}; ensureTopics makes it.`, {
    cause: error,
  });
}
