import { createTestDatabase, type TestDatabase } from '@watari/embedded-postgres';
import { Pool, type PoolClient } from 'pg';
import { DataSource } from 'typeorm';
import { Rejected, defineAggregate, never } from './decider';
import { PostgresEventStore, StreamConflict } from './event-store';
import { OutboxRelay } from './outbox-relay';
import { ProjectionRunner } from './projection';
import { loadState, runCommand } from './run-command';
import { eventStoreMigration } from './schema';
import { START, UnreadableEvent } from './stored-event';

type Command = { type: 'Add'; data: { amount: number } } | { type: 'Close'; data: object };
type Event = { type: 'Added'; data: { amount: number; unit: string } } | { type: 'Closed'; data: object };
interface Tally {
  total: number;
  closed: boolean;
}

const tally = defineAggregate<Tally, Command, Event>({
  name: 'tally',
  initialState: { total: 0, closed: false },
  events: {
    Added: { version: 2, upcasts: { 1: (data) => ({ ...data, unit: 'piece' }) } },
    Closed: { version: 1 },
  },
  snapshots: { everyEvents: 10, stateVersion: 1 },
  decide: (command, state) => {
    switch (command.type) {
      case 'Add':
        if (state.closed) throw new Rejected('TALLY_CLOSED', 'The tally is closed.');
        return command.data.amount === 0
          ? []
          : [{ type: 'Added', data: { amount: command.data.amount, unit: 'piece' } }];
      case 'Close':
        return state.closed ? [] : [{ type: 'Closed', data: {} }];
      default:
        return never(command);
    }
  },
  evolve: (state, event) => {
    switch (event.type) {
      case 'Added':
        return { ...state, total: state.total + event.data.amount };
      case 'Closed':
        return { ...state, closed: true };
      default:
        return never(event);
    }
  },
});

const SCHEMA = 'tallies';
let database: TestDatabase;
let pool: Pool;
let dataSource: DataSource;
let store: PostgresEventStore;
let commandCount = 0;
const cause = (commandId = `command-${(commandCount += 1)}`) => ({
  commandId,
  correlationId: 'correlation',
  causationId: commandId,
});
const add = (id: string, amount: number, commandId?: string) =>
  runCommand(store, tally, id, { type: 'Add', data: { amount } }, cause(commandId));

beforeEach(async () => {
  database = await createTestDatabase();
  pool = new Pool({ connectionString: database.url, max: 20 });
  await pool.query(`CREATE SCHEMA ${SCHEMA}`);
  dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    schema: SCHEMA,
    migrations: [eventStoreMigration(SCHEMA)],
  });
  await dataSource.initialize();
  await dataSource.runMigrations();
  store = new PostgresEventStore(pool, SCHEMA);
});

afterEach(async () => {
  await dataSource.destroy();
  await pool.end();
  await database.close();
});

describe('a stream', () => {
  it('keeps its events in order, with their cause', async () => {
    await add('t1', 3, 'first');
    const { state, streamVersion, events } = await add('t1', 4, 'second');
    expect(state.total).toBe(7);
    expect(streamVersion).toBe(2);
    expect(events).toMatchObject([
      {
        streamVersion: 2,
        commandId: 'second',
        correlationId: 'correlation',
        event: { type: 'Added', data: { amount: 4 } },
      },
    ]);
    expect(
      (await store.load({ aggregate: 'tally', id: 't1' })).map(({ streamVersion: version }) => version),
    ).toEqual([1, 2]);
  });

  it('answers a command id that was handled before with what it recorded then', async () => {
    await add('t1', 3, 'once');
    await add('t1', 1);
    const again = await add('t1', 3, 'once');
    expect(again.isRepeat).toBe(true);
    expect(again.events.map(({ streamVersion }) => streamVersion)).toEqual([1]);
    expect((await loadState(store, tally, 't1')).state.total).toBe(4);
  });

  it('remembers a command that changed nothing, so that its repeat changes nothing later', async () => {
    await runCommand(store, tally, 't1', { type: 'Add', data: { amount: 0 } }, cause('nothing'));
    const again = await add('t1', 5, 'nothing');
    expect(again).toMatchObject({ isRepeat: true, events: [] });
    expect((await loadState(store, tally, 't1')).state.total).toBe(0);
  });

  it('stores nothing when the command is rejected', async () => {
    await runCommand(store, tally, 't1', { type: 'Close', data: {} }, cause());
    await expect(add('t1', 1, 'refused')).rejects.toMatchObject({ code: 'TALLY_CLOSED' });
    expect(await store.load({ aggregate: 'tally', id: 't1' })).toHaveLength(1);
    expect(await store.findCommand({ aggregate: 'tally', id: 't1' }, 'refused')).toBeUndefined();
  });

  it('loses no command and applies none twice when many decide at once', async () => {
    await Promise.all(Array.from({ length: 6 }, () => add('busy', 1)));
    const { state, streamVersion } = await loadState(store, tally, 'busy');
    expect({ total: state.total, streamVersion }).toEqual({ total: 6, streamVersion: 6 });
  });

  it('lets one of two with the same command id append', async () => {
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => add('t1', 2, 'same')));
    expect(outcomes.filter(({ isRepeat }) => !isRepeat)).toHaveLength(1);
    expect((await loadState(store, tally, 't1')).state.total).toBe(2);
  });

  it('refuses to append after a version that is not the last', async () => {
    await add('t1', 1);
    const append = store.append(
      { aggregate: 'tally', id: 't1' },
      0,
      [{ type: 'Added', version: 2, data: { amount: 9 } }],
      cause(),
    );
    await expect(append).rejects.toBeInstanceOf(StreamConflict);
  });

  it('brings an event of an older version up to date on reading', async () => {
    await store.append(
      { aggregate: 'tally', id: 'old' },
      0,
      [{ type: 'Added', version: 1, data: { amount: 5 } }],
      cause(),
    );
    const { events } = await add('old', 1);
    expect(events[0]?.event).toEqual({ type: 'Added', data: { amount: 1, unit: 'piece' } });
    expect((await loadState(store, tally, 'old')).state.total).toBe(6);
  });

  it('refuses to fold an event of a newer version', async () => {
    await store.append(
      { aggregate: 'tally', id: 'new' },
      0,
      [{ type: 'Added', version: 3, data: { amount: 5 } }],
      cause(),
    );
    await expect(add('new', 1)).rejects.toBeInstanceOf(UnreadableEvent);
  });

  it('folds from its snapshot, and from the start when the state changed shape', async () => {
    for (let count = 0; count < 12; count += 1) await add('long', 1);
    const stream = { aggregate: 'tally', id: 'long' };
    expect(await store.loadSnapshot(stream)).toMatchObject({ streamVersion: 10, state: { total: 10 } });
    await pool.query(`UPDATE ${SCHEMA}.snapshots SET state = '{"total": 1000, "closed": false}'`);
    expect((await loadState(store, tally, 'long')).state.total).toBe(1002);
    const reshaped = { ...tally, snapshots: { everyEvents: 10, stateVersion: 2 } };
    expect((await loadState(store, reshaped, 'long')).state.total).toBe(12);
  });
});

/** Appends by hand inside a transaction that the spec commits when it likes. */
async function appendIn(client: PoolClient, id: string, expected: number): Promise<void> {
  await client.query(`SELECT ${SCHEMA}.append_events($1, $2, $3, $4, 'c', 'c')`, [
    `tally-${id}`,
    expected,
    JSON.stringify([{ type: 'Added', version: 2, data: { amount: 1 } }]),
    `by-hand-${(commandCount += 1)}`,
  ]);
}

/** The reader everybody writes first: it remembers the last position it saw. */
async function readNaively(after: bigint): Promise<{ stream: string; position: bigint }[]> {
  const { rows } = await pool.query<{ stream: string; position: string }>(
    `SELECT stream, position FROM ${SCHEMA}.events WHERE position > $1 ORDER BY position`,
    [after.toString()],
  );
  return rows.map(({ stream, position }) => ({ stream, position: BigInt(position) }));
}

describe('the global order', () => {
  it('passes over no event that commits late, as a reader by position does', async () => {
    const slow = await pool.connect();
    await slow.query('BEGIN');
    await appendIn(slow, 'slow', 0);
    await add('quick', 1);

    const naiveBefore = await readNaively(0n);
    const before = await store.readAll(START, 10);
    await slow.query('COMMIT');
    slow.release();
    const naiveAfter = await readNaively(naiveBefore.at(-1)?.position ?? 0n);
    const after = await store.readAll(before.at(-1)?.at ?? START, 10);

    expect([...naiveBefore, ...naiveAfter].map(({ stream }) => stream)).toEqual(['tally-quick']);
    expect([...before, ...after].map(({ stream }) => stream.id).sort()).toEqual(['quick', 'slow']);
  });

  it('refuses an append that is not the first write of its transaction, which would turn versions around', async () => {
    const early = await pool.connect();
    await early.query('CREATE TABLE elsewhere (x integer)');
    await early.query('BEGIN');
    await early.query('INSERT INTO elsewhere VALUES (1)');
    await add('t1', 1);
    await expect(appendIn(early, 't1', 1)).rejects.toMatchObject({ code: 'WT001' });
    await early.query('ROLLBACK');
    early.release();
  });

  it('would hold version 2 before version 1 if that append were let through', async () => {
    const early = await pool.connect();
    await early.query('CREATE TABLE elsewhere (x integer)');
    await early.query('BEGIN');
    await early.query('INSERT INTO elsewhere VALUES (1)');
    await add('t1', 1);
    await early.query(
      `INSERT INTO ${SCHEMA}.events (stream, stream_version, type, version, data, command_id, correlation_id, causation_id)
       VALUES ('tally-t1', 2, 'Added', 2, '{"amount": 1}', 'by-force', 'c', 'c')`,
    );
    await early.query('COMMIT');
    early.release();
    expect((await store.readAll(START, 10)).map(({ streamVersion }) => streamVersion)).toEqual([2, 1]);
  });

  it('shows each event once and in stream order to a reader that follows many writers, some of whom roll back', async () => {
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let count = 0; count < 25; count += 1) {
        if (count % 10 === 3) {
          const client = await pool.connect();
          await client.query('BEGIN');
          await appendIn(client, `rolled-back-${writer}-${count}`, 0);
          await client.query('ROLLBACK');
          client.release();
        }
        await add(`w${writer}`, 1);
      }
    });
    let writing = true;
    const done = Promise.all(writers).then(() => {
      writing = false;
    });
    const seen: string[] = [];
    let after = START;
    for (let isLastLook = false; !isLastLook;) {
      isLastLook = !writing;
      for (
        let batch = await store.readAll(after, 7);
        batch.length > 0;
        batch = await store.readAll(after, 7)
      ) {
        seen.push(...batch.map(({ stream, streamVersion }) => `${stream.id}:${streamVersion}`));
        after = batch.at(-1)?.at ?? after;
      }
    }
    await done;
    const expected = Array.from({ length: 8 }, (_, writer) =>
      Array.from({ length: 25 }, (_unused, index) => `w${writer}:${index + 1}`),
    );
    for (const stream of expected) expect(seen.filter((name) => stream.includes(name))).toEqual(stream);
    expect(seen).toHaveLength(200);
  });
});

async function eventually(assertion: () => Promise<void> | void): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await assertion();
      return;
    } catch (error) {
      if (attempt >= 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

describe('a projection', () => {
  const projection = {
    name: 'totals',
    apply: async (
      event: { stream: { id: string }; data: Record<string, unknown> },
      manager: { query(sql: string, values: unknown[]): Promise<unknown> },
    ) => {
      await manager.query(
        `INSERT INTO ${SCHEMA}.totals AS t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET total = t.total + $2`,
        [event.stream.id, Number(event.data['amount'])],
      );
    },
    clear: async (manager: { query(sql: string): Promise<unknown> }) => {
      await manager.query(`TRUNCATE ${SCHEMA}.totals`);
    },
  };
  const errors: unknown[] = [];
  const runner = () =>
    new ProjectionRunner({
      projection,
      store,
      dataSource,
      schema: SCHEMA,
      onError: (error) => errors.push(error),
      pollMs: 20,
      eventsPerBatchMax: 3,
    });
  const totals = async () =>
    Object.fromEntries(
      (await pool.query<{ id: string; total: number }>(`SELECT * FROM ${SCHEMA}.totals`)).rows.map(
        ({ id, total }) => [id, total],
      ),
    );

  beforeEach(async () => {
    errors.length = 0;
    await pool.query(
      `CREATE TABLE ${SCHEMA}.totals (id text PRIMARY KEY, total integer NOT NULL CHECK (total < 1000))`,
    );
  });

  it('counts each event once, with two runners side by side', async () => {
    const runners = [runner(), runner()];
    for (const each of runners) each.start();
    for (let count = 0; count < 20; count += 1) await add(`t${count % 2}`, 1);
    await eventually(async () => expect(await totals()).toEqual({ t0: 10, t1: 10 }));
    await Promise.all(runners.map((each) => each.stop()));
    expect(await totals()).toEqual({ t0: 10, t1: 10 });
  });

  it('is rebuilt from the whole history', async () => {
    const running = runner();
    running.start();
    for (let count = 0; count < 7; count += 1) await add('t', 2);
    await eventually(async () => expect(await totals()).toEqual({ t: 14 }));
    await pool.query(`UPDATE ${SCHEMA}.totals SET total = 99`);
    await running.rebuild();
    await eventually(async () => expect(await totals()).toEqual({ t: 14 }));
    await running.stop();
  });

  it('leaves view and checkpoint together as they were when an event fails, and goes on when it no longer does', async () => {
    const running = runner();
    running.start();
    await add('t', 1);
    await eventually(async () => expect(await totals()).toEqual({ t: 1 }));
    await add('t', 5000);
    await eventually(() => expect(errors.length).toBeGreaterThan(0));
    expect(await totals()).toEqual({ t: 1 });
    await pool.query(`ALTER TABLE ${SCHEMA}.totals DROP CONSTRAINT totals_total_check`);
    await eventually(async () => expect(await totals()).toEqual({ t: 5001 }));
    await running.stop();
  });
});

describe('the outbox relay', () => {
  const published: string[] = [];
  let failures = 0;
  const relay = () =>
    new OutboxRelay({
      store,
      pool,
      schema: SCHEMA,
      toRecords: (event) => [
        {
          topic: 'tallies',
          key: event.stream.id,
          headers: { ce_id: event.eventId },
          value: `${event.stream.id}:${event.streamVersion}`,
        },
      ],
      publish: async (_topic, records) => {
        if (failures > 0) {
          failures -= 1;
          throw new Error('The bus is away.');
        }
        published.push(...records.map(({ value }) => value.toString()));
      },
      onError: () => undefined,
      pollMs: 20,
    });

  beforeEach(() => {
    published.length = 0;
    failures = 0;
  });

  it('sends events in order, by one of two replicas, and the other takes over', async () => {
    const first = relay();
    const second = relay();
    first.start();
    await add('t', 1);
    await eventually(() => expect(published).toEqual(['t:1']));
    second.start();
    await add('t', 1);
    await eventually(() => expect(published).toEqual(['t:1', 't:2']));
    await first.stop();
    await add('t', 1);
    await eventually(() => expect(published).toEqual(['t:1', 't:2', 't:3']));
    await second.stop();
  });

  it('loses nothing while the bus is away', async () => {
    failures = 3;
    const running = relay();
    running.start();
    for (let count = 0; count < 5; count += 1) await add('t', 1);
    await eventually(() => expect(published).toEqual(['t:1', 't:2', 't:3', 't:4', 't:5']));
    await running.stop();
  });
});
