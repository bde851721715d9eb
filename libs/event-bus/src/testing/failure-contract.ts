import { randomUUID } from 'node:crypto';
import { deadLetterTopicOf, listDeadLetters, replayDeadLetters } from '../consumer/dead-letters';
import type { EventBus } from '../event-bus';
import { lagOf } from './delivery-contract';
import {
  type TestService,
  eventsOf,
  expectEachOnceInOrder,
  publishSurely,
  recordOf,
  until,
} from './test-service';

/** What cannot be handled is put aside with the reason, and can be handled later; the rest goes on. */
export function failureContract(service: () => TestService): void {
  let bus: EventBus;
  let topic: string;
  let group: string;

  beforeEach(async () => {
    bus ??= await service().bus();
    topic = await service().newTopic(bus);
    group = `group-${randomUUID()}`;
  });

  it.each(['effects', 'commands'] as const)(
    'puts a record aside at once that is no event, and goes on behind it (%s)',
    async (table) => {
      const events = eventsOf(1, 30);
      const value = Buffer.from([0x7b, 0xff, 0x00]);
      await publishSurely(bus, topic, events.slice(0, 10));
      await bus.publish(topic, [{ key: 'key-0', headers: { ce_id: 'malformed' }, value }]);
      await bus.publish(topic, [{ key: 'key-0', headers: { other: 'header' }, value: '{}' }]);
      await publishSurely(bus, topic, events.slice(10));
      const begin = table === 'effects' ? service().project.bind(service()) : service().react.bind(service());
      await begin(bus, group, topic);
      await until('all is read', async () => (await lagOf(bus, group)) === 0);
      expectEachOnceInOrder(await service().effects(group, table), events);
      const [malformed, nameless, ...more] = await listDeadLetters(bus, { topic });
      expect(more).toEqual([]);
      expect(malformed).toMatchObject({
        ...{
          group,
          topic,
          offset: 10n,
          attempts: 1,
          code: 'EVENT_MALFORMED',
          reason: 'The value is no JSON.',
        },
        record: { key: 'key-0', headers: { ce_id: 'malformed' }, value },
      });
      expect(nameless).toMatchObject({ offset: 11n, attempts: 1, code: 'EVENT_HEADER_MISSING' });
    },
  );

  it.each(['effects', 'commands'] as const)(
    'tries a failing event again before anything behind it, and a bounded number of times (%s)',
    async (table) => {
      const events = eventsOf(1, 20);
      const [recovering, hopeless] = [events[5], events[9]];
      const tries: Record<string, number> = {};
      const begin = table === 'effects' ? service().project.bind(service()) : service().react.bind(service());
      await begin(bus, group, topic, ({ id }) => {
        tries[id] = (tries[id] ?? 0) + 1;
        if (id === hopeless?.id) throw new Error('a bug in the handler');
        // The try as part of the whole batch counts too.
        if (id === recovering?.id && tries[id] < 3)
          throw Object.assign(new Error('not yet'), { canRetry: true });
      });
      await publishSurely(bus, topic, events);
      await until('all is read', async () => (await lagOf(bus, group)) === 0);
      expectEachOnceInOrder(
        await service().effects(group, table),
        events.filter((event) => event !== hopeless),
      );
      const letters = await listDeadLetters(bus, { topic });
      expect(letters).toMatchObject([
        {
          group,
          attempts: 3,
          code: 'HANDLER_FAILED',
          reason: 'a bug in the handler',
          record: { headers: { ce_id: hopeless?.id } },
        },
      ]);
    },
  );

  it('handles replayed dead letters, in the group that failed alone, and then lists them no more', async () => {
    const events = eventsOf(3, 10);
    const bad = events.filter(({ sequence }) => sequence === 4);
    const other = `group-${randomUUID()}`;
    let triesOfOther = 0;
    let isMended = false;
    await service().project(bus, group, topic, ({ sequence }) => {
      if (sequence === 4 && !isMended) throw new Error('not mended yet');
    });
    await service().react(bus, other, topic, ({ sequence }) => {
      triesOfOther += 1;
      if (sequence === 4) throw new Error('never mended');
    });
    await publishSurely(bus, topic, events);
    await until(
      'both have read all',
      async () => (await lagOf(bus, group)) + (await lagOf(bus, other)) === 0,
    );
    expect(await listDeadLetters(bus, { topic, group })).toHaveLength(3);
    expect(await listDeadLetters(bus, { topic, group: other })).toHaveLength(3);
    expect(triesOfOther).toBe(27 + 3 * 3);

    await replayDeadLetters(bus, { topic, group });
    await until('they have failed again', async () => (await lagOf(bus, group)) === 0);
    const again = await listDeadLetters(bus, { topic, group });
    expect(again.map(({ record }) => record.headers['ce_id']).sort()).toEqual(bad.map(({ id }) => id).sort());

    isMended = true;
    const [first] = again;
    expect(await replayDeadLetters(bus, { topic, ids: [first?.id ?? ''] })).toHaveLength(1);
    expect(await replayDeadLetters(bus, { topic, group })).toHaveLength(2);
    await until('all is read', async () => (await lagOf(bus, group)) === 0);
    const found = await service().effects(group);
    expect(found.map(({ id }) => id).sort()).toEqual(events.map(({ id }) => id).sort());
    expect(await listDeadLetters(bus, { topic, group })).toEqual([]);
    expect(await listDeadLetters(bus, { topic, group, withReplayed: true })).toHaveLength(6);
    await until('the other group has passed over them', async () => (await lagOf(bus, other)) === 0);
    expect(triesOfOther).toBe(27 + 3 * 3);
    expect(await listDeadLetters(bus, { topic })).toHaveLength(3);
  });

  it('puts aside what was made to be unpostable: too many headers, one too long', async () => {
    const headers = Object.fromEntries(
      Array.from({ length: 64 }, (_, n) => [`header-${n}`, 'x'.repeat(100)]),
    );
    await service().project(bus, group, topic);
    await bus.publish(topic, [{ key: 'k'.repeat(1000), headers, value: Buffer.alloc(1_000_000, 'x') }]);
    const events = eventsOf(4, 5);
    await bus.publish(topic, events.map(recordOf));
    await until('all is read', async () => (await lagOf(bus, group)) === 0);
    expectEachOnceInOrder(await service().effects(group), events);
    expect(await listDeadLetters(bus, { topic })).toHaveLength(1);
    expect((await bus.ends(deadLetterTopicOf(topic)))[0]?.end).toBe(1n);
  });
}
