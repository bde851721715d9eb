import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch, BusSubscription, EventBus } from '../event-bus';
import type { BusUnderTest } from './bus-under-test';
import { lagOf } from './delivery-contract';
import {
  PARTITIONS,
  SESSION_TIMEOUT_MS,
  type TestEvent,
  type TestService,
  eventsOf,
  expectEachOnceInOrder,
  publishSurely,
  until,
} from './test-service';

const TYPESCRIPT = join(__dirname, '../../../../tools/workspace/run-typescript.cjs');
const CHILD = join(__dirname, 'consume-until-killed.ts');

/** Members come, go and die, and so does the broker: no event is lost, none applied twice. */
export function membershipContract(
  service: () => TestService,
  underTest: () => BusUnderTest,
  { canStopBroker }: { canStopBroker: boolean },
): void {
  let bus: EventBus;
  let topic: string;
  let group: string;

  beforeEach(async () => {
    bus ??= await service().bus();
    topic = await service().newTopic(bus);
    group = `group-${randomUUID()}`;
  });

  it('shares the partitions among members that join and leave while events come', async () => {
    const events = eventsOf(12, 150);
    const [one, two] = [await service().bus(), await service().bus()];
    const publishing = publishSlowly(bus, topic, events);
    const work = () => sleep(1);
    const first = await service().project(one, group, topic, work, 'first');
    await until('the first is at work', async () => (await countBy('first')) > 50);
    const second = await service().project(two, group, topic, work, 'second');
    await until('the second is at work', async () => (await countBy('second')) > 50);
    await first.stop();
    const byFirst = await countBy('first');
    await publishing;
    await until('the second has done the rest', async () => (await lagOf(bus, group)) === 0);
    await second.stop();
    expect(await countBy('first')).toBe(byFirst);
    expectEachOnceInOrder(await service().effects(group), events);

    async function countBy(by: string): Promise<number> {
      const [row] = (await service().dataSource.query(
        'SELECT count(*)::integer AS count FROM effects WHERE group_name = $1 AND by = $2',
        [group, by],
      )) as { count: number }[];
      return row?.count ?? 0;
    }
  }, 90_000);

  it('never has two members at one partition that both think it theirs', async () => {
    const buses = [await service().bus(), await service().bus()];
    const busy = new Set<string>();
    const clashes: string[] = [];
    const work = async ({ partition, signal }: Batch) => {
      const key = `${topic}/${partition}`;
      if (busy.has(key)) clashes.push(key);
      busy.add(key);
      const done = new AbortController();
      signal.addEventListener('abort', () => busy.delete(key), { signal: done.signal });
      for (let step = 0; step < 30 && !signal.aborted; step += 1) await sleep(5);
      if (!signal.aborted) busy.delete(key);
      done.abort();
    };
    const join = (member?: EventBus): Promise<BusSubscription> => {
      if (!member) throw new Error('No such member.');
      const options = { group, topics: [topic], sessionTimeoutMs: SESSION_TIMEOUT_MS, onBatch: work };
      return member.subscribe(options);
    };
    const has = (member: BusSubscription, count: number) =>
      until(`a member has ${count} partitions`, () => member.owned().length === count, 20_000);
    let isOver = false;
    const load = (async () => {
      while (!isOver) await publishSlowly(bus, topic, eventsOf(12, 5));
    })();
    try {
      const first = await join(buses[0]);
      await has(first, PARTITIONS);
      const second = await join(buses[1]);
      await has(second, PARTITIONS / 2);
      await has(first, PARTITIONS / 2);
      expect([...first.owned(), ...second.owned()].sort()).toEqual(
        Array.from({ length: PARTITIONS }, (_, partition) => `${topic}/${partition}`),
      );
      await first.close();
      await has(second, PARTITIONS);
      const third = await join(buses[0]);
      await has(third, PARTITIONS / 2);
      await second.close();
      await has(third, PARTITIONS);
      isOver = true;
      await load;
      await until('all is read', async () => (await lagOf(bus, group)) === 0);
      await third.close();
    } finally {
      isOver = true;
      await load;
    }
    expect(clashes).toEqual([]);
  }, 90_000);

  it('takes over from a member that is killed in the middle of a batch', async () => {
    const events = eventsOf(8, 40);
    const reacting = `${group}-reacting`;
    await publishSurely(bus, topic, events);
    const begun = await beKilledAfter(40, { topic, projecting: group, reacting, workMs: 10 });
    expect(begun).toBeGreaterThanOrEqual(40);
    const before =
      (await service().effects(group)).length + (await service().effects(reacting, 'commands')).length;
    expect(before).toBeLessThan(2 * events.length);

    await service().project(bus, group, topic);
    await service().react(bus, reacting, topic);
    await until(
      'all is read',
      async () => (await lagOf(bus, group)) + (await lagOf(bus, reacting)) === 0,
      40_000,
    );
    expectEachOnceInOrder(await service().effects(group), events);
    expectEachOnceInOrder(await service().effects(reacting, 'commands'), events);
  }, 90_000);

  (canStopBroker ? it : it.skip)(
    'loses and repeats nothing while the broker is stopped and started, twice',
    async () => {
      const events = eventsOf(10, 120);
      await service().project(bus, group, topic);
      await service().react(bus, `${group}-reacting`, topic);
      const publishing = publishSlowly(bus, topic, events);
      await untilSome(events.length / 10);
      for (const share of [3, 6]) {
        await underTest().stopBroker();
        await sleep(1000);
        await underTest().startBroker();
        await untilSome((events.length * share) / 10);
      }
      expect(await publishing).toBeGreaterThan(0);
      await until('all is read', () => isAllRead(), 60_000);
      expectEachOnceInOrder(await service().effects(group), events);
      expectEachOnceInOrder(await service().effects(`${group}-reacting`, 'commands'), events);

      async function untilSome(count: number): Promise<void> {
        await until(`${count} took effect`, async () => (await effectsOrNone()) >= count, 60_000);
      }

      /** The service's own database may be the one that was stopped. */
      async function effectsOrNone(): Promise<number> {
        return (
          await service()
            .effects(group)
            .catch(() => [])
        ).length;
      }

      async function isAllRead(): Promise<boolean> {
        const lags = [group, `${group}-reacting`].map((each) =>
          lagOf(bus, each).catch((error: unknown) => {
            // Still away, and said so.
            if ((error as { canRetry?: boolean }).canRetry === true) return Infinity;
            throw error;
          }),
        );
        return (await Promise.all(lags)).every((lag) => lag === 0);
      }
    },
    180_000,
  );

  /** Runs a consumer as a process of its own until it has begun with so many events, then kill -9. */
  async function beKilledAfter(
    count: number,
    work: { topic: string; projecting: string; reacting: string; workMs: number },
  ): Promise<number> {
    const { reach, databaseUrl } = underTest();
    const child = spawn(
      process.execPath,
      [
        ...['--conditions=@watari/source', '--require', TYPESCRIPT, CHILD],
        JSON.stringify({ ...work, reach, databaseUrl }),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = new Promise<void>((gone) => child.once('exit', () => gone()));
    const begun = { projecting: 0, reacting: 0 };
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line === 'projecting' || line === 'reacting') begun[line] += 1;
    });
    try {
      await until(
        `the child has begun with ${count} events in either way`,
        () => child.exitCode !== null || Math.min(begun.projecting, begun.reacting) >= count,
      );
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
    return Math.min(begun.projecting, begun.reacting);
  }
}

/** Some at a time, the next when the last were taken; returns how often the bus refused. */
async function publishSlowly(bus: EventBus, topic: string, events: readonly TestEvent[]): Promise<number> {
  let failures = 0;
  for (let from = 0; from < events.length; from += 20) {
    failures += await publishSurely(bus, topic, events.slice(from, from + 20));
    await sleep(25);
  }
  return failures;
}
