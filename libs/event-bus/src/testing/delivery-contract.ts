import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import type { EventBus } from '../event-bus';
import { partitionOf } from '../murmur2';
import {
  PARTITIONS,
  type TestService,
  eventsOf,
  expectEachOnceInOrder,
  publishSurely,
  recordOf,
  until,
} from './test-service';

/** What is published arrives: once in effect, in order per key, no faster than it is handled. */
export function deliveryContract(service: () => TestService): void {
  let bus: EventBus;
  let topic: string;
  let group: string;

  beforeEach(async () => {
    bus ??= await service().bus();
    topic = await service().newTopic(bus);
    group = `group-${randomUUID()}`;
  });

  it('refuses what no consumer could read, before anything is sent', async () => {
    const record = { key: 'k', headers: {}, value: 'v' };
    const codeOf = (error: unknown) => (error as { code?: string }).code;
    await expect(bus.publish(topic, [record, { ...record, key: '' }]).catch(codeOf)).resolves.toBe(
      'BUS_RECORD_INVALID',
    );
    await expect(
      bus.publish(topic, [record, { ...record, value: Buffer.alloc(1_000_001) }]).catch(codeOf),
    ).resolves.toBe('BUS_RECORD_INVALID');
    await expect(bus.publish('contract.nowhere', [record]).catch(codeOf)).resolves.toBe('BUS_TOPIC_UNKNOWN');
    await expect(bus.ensureTopics([{ name: topic, partitions: PARTITIONS + 1 }]).catch(codeOf)).resolves.toBe(
      'BUS_TOPIC_DIFFERS',
    );
    await expect(bus.ensureTopics([{ name: 'a topic', partitions: 1 }]).catch(codeOf)).resolves.toBe(
      'BUS_NAME_INVALID',
    );
    expect((await bus.ends(topic)).every(({ first, end }) => first === end)).toBe(true);
  });

  it('puts a key where every Kafka client would look for it, and reads it back as it was', async () => {
    const records = Array.from({ length: 40 }, (_, n) => ({
      key: `schlüssel-${n % 13}`,
      headers: { ce_id: `${n}`, ce_subject: 'größe' },
      value: Buffer.from([n, 0, 255]),
    }));
    await bus.publish(topic, records);
    for (const { partition, first, end } of await bus.ends(topic)) {
      const mine = records.filter(({ key }) => partitionOf(key, PARTITIONS) === partition);
      expect(end - first).toBe(BigInt(mine.length));
      const found = await bus.read(topic, { partition, fromOffset: first, recordsMax: 100 });
      expect(found.map(({ key, headers, value }) => ({ key, headers, value }))).toEqual(mine);
      const rest = await bus.read(topic, { partition, fromOffset: first + 3n, recordsMax: 2 });
      expect(rest.map(({ offset }) => offset)).toEqual(found.slice(3, 5).map(({ offset }) => offset));
    }
  });

  it.each(['effects', 'commands'] as const)(
    'applies an event once that arrives three times (%s)',
    async (table) => {
      const events = eventsOf(5, 20);
      await publishSurely(bus, topic, events);
      await publishSurely(bus, topic, events);
      const begin = table === 'effects' ? service().project.bind(service()) : service().react.bind(service());
      let handled = 0;
      const consumer = await begin(bus, group, topic, () => void (handled += 1));
      await publishSurely(bus, topic, events);
      await until('all is read', async () => (await lagOf(bus, group)) === 0);
      await consumer.stop();
      expectEachOnceInOrder(await service().effects(group, table), events);
      expect(handled).toBe(events.length);
    },
  );

  it('gives every group all events, and goes on where a group had stopped', async () => {
    const events = eventsOf(6, 30);
    const other = `group-${randomUUID()}`;
    await publishSurely(bus, topic, events.slice(0, 100));
    const first = await service().project(bus, group, topic);
    await service().project(bus, other, topic);
    await until('the first hundred are read', async () => (await lagOf(bus, group)) === 0);
    await first.stop();
    await publishSurely(bus, topic, events.slice(100));
    expect(await lagOf(bus, group)).toBe(80);
    let handled = 0;
    await service().project(bus, group, topic, () => void (handled += 1));
    await until(
      'both groups have all',
      async () => (await lagOf(bus, group)) + (await lagOf(bus, other)) === 0,
    );
    expectEachOnceInOrder(await service().effects(group), events);
    expectEachOnceInOrder(await service().effects(other), events);
    expect(handled).toBe(80);
  });

  it('keeps the order of each key under load, with publishers and members side by side', async () => {
    const publishers = 4;
    const streams = Array.from({ length: publishers }, (_, n) => eventsOf(10, 100, `publisher-${n}`));
    const members = await Promise.all([0, 1, 2].map(() => service().bus()));
    const hesitate = async () => {
      if (Math.random() < 0.02) await sleep(Math.random() * 10);
    };
    for (const member of members) {
      await service().project(member, group, topic, hesitate);
      await service().react(member, `${group}-reacting`, topic, hesitate);
    }
    await Promise.all(
      streams.map(async (events) => {
        for (let from = 0; from < events.length; from += 25)
          await publishSurely(bus, topic, events.slice(from, from + 25));
      }),
    );
    const all = streams.flat();
    await until('all took effect', async () => (await service().effects(group)).length >= all.length, 60_000);
    await until('all was reacted to', async () => (await lagOf(bus, `${group}-reacting`)) === 0, 60_000);
    expectEachOnceInOrder(await service().effects(group), all);
    expectEachOnceInOrder(await service().effects(`${group}-reacting`, 'commands'), all);
  }, 120_000);

  it('holds back what a slow consumer has not come to, and tells how much that is', async () => {
    const events = eventsOf(40, 50);
    let inHand = 0;
    let inHandMax = 0;
    let isOpen = false;
    const subscription = await bus.subscribe({
      group,
      topics: [topic],
      batchRecordsMax: 20,
      partitionsAtOnceMax: 2,
      onBatch: async ({ records }) => {
        inHand += records.length;
        inHandMax = Math.max(inHandMax, inHand);
        await until('the spec lets go', () => isOpen);
        inHand -= records.length;
      },
    });
    await publishSurely(bus, topic, events);
    await until('two partitions are at work', () => inHand === 40);
    await sleep(500);
    expect(inHandMax).toBe(40);
    expect(await lagOf(bus, group)).toBe(events.length);
    isOpen = true;
    await until('all is read', async () => (await lagOf(bus, group)) === 0);
    expect(inHandMax).toBeLessThanOrEqual(40);
    await subscription.close();
  });

  it('lets the other partitions go on while one is stuck', async () => {
    const events = eventsOf(24, 20);
    const stuck = partitionOf('key-0', PARTITIONS);
    const others = events.filter(({ key }) => partitionOf(key, PARTITIONS) !== stuck);
    let isOpen = false;
    await service().react(bus, group, topic, async ({ key }) => {
      if (key === 'key-0') await until('the spec lets go', () => isOpen);
    });
    await bus.publish(topic, events.map(recordOf));
    const handledElsewhere = async () =>
      (await service().effects(group, 'commands')).filter(
        ({ key }) => partitionOf(key, PARTITIONS) !== stuck,
      );
    await until(
      'the other partitions are done',
      async () => (await handledElsewhere()).length === others.length,
      10_000,
    );
    isOpen = true;
    await until('all is read', async () => (await lagOf(bus, group)) === 0);
    expectEachOnceInOrder(await service().effects(group, 'commands'), events);
  });
}

/** Records that the group has not been done with; endless while the group is not known. */
export async function lagOf(bus: EventBus, group: string): Promise<number> {
  const lags = await bus.lag(group);
  return lags.length === 0 ? Infinity : lags.reduce((sum, { records }) => sum + records, 0);
}
