import { type PublicEvent, decodeEvent } from '@watari/contracts-base';
import { type Consumer, startConsumer } from '@watari/event-bus';
import { OutboxRelay, ProjectionRunner } from '@watari/event-sourcing';
import type { EntityManager } from 'typeorm';
import type { ReadinessCheck } from './http/health.controller';
import type { ServiceGauges } from './http/metrics.controller';
import type { ConsumerSpec, ServiceContext, ServiceDefinition, ServiceParts } from './service-definition';

/** The moving parts of one service: relay, projections, consumers, jobs; started and stopped together. */
export class ServiceEngine {
  readonly parts: ServiceParts;
  private readonly projections: ProjectionRunner[];
  private readonly relay: OutboxRelay;
  private consumers: { readonly group: string; readonly consumer: Consumer }[] = [];
  private relayLagEvents = 0;

  constructor(
    private readonly definition: ServiceDefinition,
    private readonly context: ServiceContext,
  ) {
    const { store, pool, schema, dataSource, bus, logger } = context;
    this.parts = definition.create(context);
    this.relay = new OutboxRelay({
      store,
      pool,
      schema,
      toRecords: (event) => this.parts.publish(event),
      publish: (topic, records) => bus.publish(topic, records),
      onError: (error) => logger.warn({ err: error }, 'relaying events failed; it goes on'),
      onLag: (events) => {
        this.relayLagEvents = events;
      },
    });
    this.projections = (this.parts.projections ?? []).map(
      (projection) =>
        new ProjectionRunner({
          projection,
          store,
          dataSource,
          schema,
          onError: (error) =>
            logger.error({ err: error, projection: projection.name }, 'a projection failed; it goes on'),
        }),
    );
  }

  async start(): Promise<void> {
    for (const projection of this.projections) projection.start();
    this.relay.start();
    this.context.jobs.start(this.parts.jobs ?? {});
    for (const spec of this.parts.consumers ?? [])
      this.consumers.push({ group: this.groupOf(spec), consumer: await this.startConsumer(spec) });
  }

  /** Stops taking events first, then what works on them, then what tells others. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.consumers.map(({ consumer }) => consumer.stop()));
    this.consumers = [];
    await this.context.jobs.stop();
    await Promise.allSettled(this.projections.map((projection) => projection.stop()));
    await this.relay.stop();
  }

  readinessChecks(): ReadinessCheck[] {
    const { pool } = this.context;
    return [
      {
        name: `${this.definition.name} database`,
        check: async () => {
          await pool.query('SELECT 1');
        },
      },
      {
        name: `${this.definition.name} outbox`,
        check: async () => {
          if (this.relayLagEvents > RELAY_LAG_EVENTS_MAX)
            throw new Error(`${this.relayLagEvents} events wait to be published.`);
        },
      },
    ];
  }

  gauges(): ServiceGauges {
    return {
      service: this.context.service,
      outboxLagEvents: () => this.relayLagEvents,
      consumerLags: () =>
        Promise.all(
          this.consumers.map(async ({ group, consumer }) => ({ group, lags: await consumer.lag() })),
        ),
    };
  }

  consumedTopics(): string[] {
    return (this.parts.consumers ?? []).flatMap(({ topics }) => topics);
  }

  ownsGroup(group: string): boolean {
    return (this.parts.consumers ?? []).some((spec) => this.groupOf(spec) === group);
  }

  private groupOf({ name }: ConsumerSpec): string {
    return `${this.context.service}.${name}`;
  }

  private startConsumer(spec: ConsumerSpec): Promise<Consumer> {
    const { bus, dataSource, schema, logger } = this.context;
    return startConsumer({
      bus,
      dataSource,
      schema,
      group: this.groupOf(spec),
      topics: spec.topics,
      decode: (record) => decodeEvent(record, spec.catalogue),
      ...(spec.mode === 'project'
        ? {
            mode: 'project',
            handle: async (event: PublicEvent, manager: EntityManager) => {
              await spec.handle(event, manager);
              this.logHandled(spec, event);
            },
          }
        : {
            mode: 'react',
            handle: async (event: PublicEvent) => {
              await spec.handle(event);
              this.logHandled(spec, event);
            },
          }),
      logger,
    });
  }

  /** By its correlation id one migration can be followed through the logs of all services. */
  private logHandled(spec: ConsumerSpec, { id, type, correlationId, causationId }: PublicEvent): void {
    this.context.logger.info(
      { consumer: spec.name, eventType: type, eventId: id, correlationId, causationId },
      'an event was handled',
    );
  }
}

const RELAY_LAG_EVENTS_MAX = 10_000;
