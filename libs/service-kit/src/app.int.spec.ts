import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { type EventContract, catalogueOf, defineEvent, encodeEvent } from '@watari/contracts-base';
import { createTestDatabase, type TestDatabase } from '@watari/embedded-postgres';
import { createBus, type EventBus } from '@watari/event-bus';
import {
  type Cause,
  Rejected,
  defineAggregate,
  loadState,
  readStored,
  runCommand,
} from '@watari/event-sourcing';
import { pino } from 'pino';
import { z } from 'zod';
import { type RunningApp, startApp } from './app';
import { ApiCommand, CommandBody, RequestCause } from './http/request';
import { causeOf, publicRecord } from './publishing';
import { SERVICE_CONTEXT, type ServiceContext, type ServiceDefinition } from './service-definition';

const Counted = defineEvent({
  type: 'tally.counted',
  version: 1,
  topic: 'tally.tally',
  key: 'tallyId',
  summary: 'The tally went up.',
  data: z.object({ tallyId: z.string(), by: z.int() }),
});
const catalogue = catalogueOf([Counted] as readonly EventContract[]);

interface Add {
  type: 'Add';
  data: { by: number };
}
interface Added {
  type: 'Added';
  data: { by: number };
}
const tally = defineAggregate<{ sum: number }, Add, Added>({
  name: 'tally',
  initialState: { sum: 0 },
  events: { Added: { version: 1 } },
  decide: ({ data }) => {
    if (data.by > 100) throw new Rejected('TALLY_TOO_FAST', 'At most 100 at a time.');
    return [{ type: 'Added', data }];
  },
  evolve: ({ sum }, { data }) => ({ sum: sum + data.by }),
});

const AddBody = z.strictObject({ by: z.int().positive() });

@Controller('tallies')
class TalliesController {
  constructor(@Inject(SERVICE_CONTEXT) private readonly context: ServiceContext) {}

  @Post(':id')
  @ApiCommand({ body: AddBody, answer: z.object({ sum: z.int() }), status: 201 })
  async add(
    @Param('id') id: string,
    @CommandBody(AddBody) body: z.infer<typeof AddBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    const { state } = await runCommand(this.context.store, tally, id, { type: 'Add', data: body }, cause);
    return state;
  }

  @Get(':id')
  async get(@Param('id') id: string): Promise<object> {
    return (await loadState(this.context.store, tally, id)).state;
  }
}

/** Adds the same to a second tally, by its own event: a service that listens. */
const tallyService: ServiceDefinition = {
  name: 'tally',
  description: 'A tally for specs',
  topics: [Counted.topic],
  reads: [],
  entities: [],
  migrations: () => [],
  create: (context) => ({
    controllers: [TalliesController],
    providers: [],
    publish: (raw) => [
      publicRecord(
        Counted,
        { tallyId: raw.stream.id, by: readStored(tally, raw).event.data.by },
        raw,
        'tally',
      ),
    ],
    consumers: [
      {
        name: 'echo',
        catalogue,
        topics: [Counted.topic],
        mode: 'react',
        handle: async (event) => {
          const { tallyId, by } = event.data as { tallyId: string; by: number };
          if (tallyId.startsWith('echo-')) return;
          await runCommand(
            context.store,
            tally,
            `echo-${tallyId}`,
            { type: 'Add', data: { by } },
            causeOf(event, 'tally.echo'),
          );
        },
      },
    ],
  }),
};

describe('an application', () => {
  const token = 'a-token-of-sixteen-letters';
  let database: TestDatabase;
  let folder: string;
  let bus: EventBus;
  let app: RunningApp;
  const logged: Record<string, unknown>[] = [];
  const logger = pino(
    { level: 'info' },
    { write: (line: string) => void logged.push(JSON.parse(line) as never) },
  );

  beforeAll(async () => {
    database = await createTestDatabase();
    folder = await mkdtemp(join(tmpdir(), 'watari-app-'));
    bus = await createBus({ kind: 'postgres', databaseUrl: database.url, logger });
    app = await start();
  });
  afterAll(async () => {
    await app.close();
    await bus.close();
    await rm(folder, { recursive: true, force: true });
    await database.close();
  });

  const start = () =>
    startApp({
      platform: {
        databaseUrl: database.url,
        bus,
        logger,
        dataFolder: folder,
        partitions: 2,
        agentTls: () => Promise.reject(new Error('There are no agents in this spec.')),
      },
      services: [tallyService],
      listen: { host: '127.0.0.1', port: 0 },
      token,
      title: 'Spec',
    });

  const call = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${app.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body }),
    });
    const text = await response.text();
    return {
      status: response.status,
      type: response.headers.get('content-type') ?? '',
      body: JSON.parse(text) as Record<string, unknown>,
    };
  };
  const add = (id: string, by: unknown, headers?: Record<string, string>) =>
    call('POST', `/tallies/${id}`, JSON.stringify({ by }), headers);

  it('runs a command and answers with the state', async () => {
    expect(await add('a', 2)).toMatchObject({ status: 201, body: { sum: 2 } });
    expect(await add('a', 3)).toMatchObject({ status: 201, body: { sum: 5 } });
  });

  it('runs a command that is sent again under its key once', async () => {
    const key = { 'idempotency-key': 'the-same' };
    await add('b', 2, key);
    await add('b', 2, key);
    expect((await call('GET', '/tallies/b')).body).toEqual({ sum: 2 });
  });

  it('answers a body that does not fit with a problem document that names the field, and stores nothing', async () => {
    const answer = await add('c', 'many');
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'COMMAND_INVALID', status: 422, errors: [{ field: 'by' }] },
    });
    expect(answer.type).toContain('application/problem+json');
    expect((await call('GET', '/tallies/c')).body).toEqual({ sum: 0 });
  });

  it('answers a body that is no JSON with a problem document', async () => {
    expect(await call('POST', '/tallies/c', '{"by":')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_MALFORMED' },
    });
  });

  it('refuses a body that is too large', async () => {
    const answer = await call(
      'POST',
      '/tallies/c',
      JSON.stringify({ by: 1, padding: 'x'.repeat(1_100_000) }),
    );
    expect(answer).toMatchObject({ status: 413, body: { code: 'REQUEST_TOO_LARGE' } });
  });

  it('answers what the state forbids with the code of the rule', async () => {
    expect(await add('d', 101)).toMatchObject({ status: 409, body: { code: 'TALLY_TOO_FAST' } });
  });

  it('lets nobody in without the token, except to ask after its health', async () => {
    const refused = await call('GET', '/tallies/a', undefined, { authorization: 'Bearer wrong' });
    expect(refused).toMatchObject({ status: 401, body: { code: 'TOKEN_INVALID' } });
    const health = await call('GET', '/health/ready', undefined, { authorization: '' });
    expect(health).toMatchObject({ status: 200, body: { status: 'ready' } });
  });

  it('describes its commands in OpenAPI', async () => {
    const { paths } = (await call('GET', '/openapi.json')).body as { paths: Record<string, object> };
    expect(paths['/tallies/{id}']).toMatchObject({
      post: { requestBody: { content: { 'application/json': { schema: { required: ['by'] } } } } },
    });
  });

  it('hears its own published event once, with the cause kept', async () => {
    await add('heard', 7, { 'x-correlation-id': 'work-1' });
    await until(async () => ((await call('GET', '/tallies/echo-heard')).body['sum'] as number) === 7);
    const records = (
      await Promise.all(
        [0, 1].map((partition) => bus.read(Counted.topic, { partition, fromOffset: 0n, recordsMax: 1000 })),
      )
    ).flat();
    const about = records.filter(({ key }) => key.endsWith('heard'));
    expect(about.map(({ headers }) => headers['ce_correlationid'])).toEqual(['work-1', 'work-1']);
  });

  it('logs what it does with the correlation and causation ids of the event', () => {
    const handled = logged.find(
      ({ correlationId, eventType }) => correlationId === 'work-1' && eventType === 'tally.counted',
    );
    expect(handled).toMatchObject({ service: 'tally', consumer: 'echo', level: 30 });
    expect(handled?.['causationId']).toBeTruthy();
    expect(logged).toContainEqual(
      expect.objectContaining({ method: 'POST', path: '/tallies/heard', status: 201 }),
    );
    expect(JSON.stringify(logged)).not.toContain(token);
  });

  it('makes a dead letter of what is no event, tells it, and replays it for the group that failed', async () => {
    const attributes = {
      id: 'bad-1',
      source: 'spec',
      time: new Date(0).toISOString(),
      correlationId: 'c',
      causationId: 'c',
    };
    const good = encodeEvent(Counted, { tallyId: 'z', by: 1 }, attributes);
    await bus.publish(Counted.topic, [
      { ...good, headers: { ...good.headers, ce_id: 'bad-1' }, value: 'not JSON' },
      { ...good, headers: { ...good.headers, ce_id: 'good-1' } },
    ]);
    await until(async () => ((await call('GET', '/tallies/echo-z')).body['sum'] as number) === 1);
    const list = async () =>
      (await call('GET', '/dead-letters')).body as unknown as { id: string; code: string }[];
    const [letter] = await list();
    expect(letter).toMatchObject({ code: 'EVENT_MALFORMED', group: 'tally.echo', attempts: 1 });
    const replayed = await call('POST', '/dead-letters/replay', JSON.stringify({ ids: [letter?.id] }));
    expect(replayed).toMatchObject({ status: 201, body: { replayed: 1 } });
    // The same bytes fail the same way: it is a dead letter again, under the place where it now stands.
    await until(async () => (await list()).some(({ id }) => id !== letter?.id));
  });

  it('tells how far outbox and consumers are behind', async () => {
    const response = await fetch(`${app.url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    const text = await response.text();
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(text).toMatch(/^watari_outbox_lag_events\{service="tally"\} \d+$/m);
    expect(text).toMatch(
      /^watari_consumer_lag_records\{service="tally",group="tally.echo",topic="tally.tally",partition="[01]"\} \d+$/m,
    );
  });

  it('goes on where it was after a restart', async () => {
    await add('kept', 4);
    await app.close();
    app = await start();
    expect((await call('GET', '/tallies/kept')).body).toEqual({ sum: 4 });
    await until(async () => ((await call('GET', '/tallies/echo-kept')).body['sum'] as number) === 4);
  });
});

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error('It did not come true in 30 s.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
