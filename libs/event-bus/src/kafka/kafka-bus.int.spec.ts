import { createTestDatabase } from '@watari/embedded-postgres';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, Partitioners, logLevel } from 'kafkajs';
import { listDeadLetters } from '../consumer/dead-letters';
import { busContract } from '../testing/bus-contract';
import type { BusUnderTest } from '../testing/bus-under-test';
import { lagOf } from '../testing/delivery-contract';
import { startKafkaProcess, whyNoKafka } from '../testing/kafka-process';
import {
  type TestService,
  eventsOf,
  expectEachOnceInOrder,
  publishSurely,
  until,
} from '../testing/test-service';

const missing = whyNoKafka();
const isRequired = process.env['WATARI_REQUIRE_KAFKA'] === '1';

if (missing === undefined) {
  // A cluster of the user's own is not ours to stop.
  describe('the event bus on Kafka', () =>
    busContract(openKafka, { canStopBroker: !process.env['KAFKA_BROKERS'] }, ofKafkaAlone));
} else if (isRequired) {
  it('has a Kafka to run on', () => {
    throw new Error(missing);
  });
} else {
  describe.skip(`the event bus on Kafka (${missing})`, () => busContract(openKafka, { canStopBroker: true }));
}

/** Anybody may write to a topic in Kafka, with any client. */
function ofKafkaAlone(service: () => TestService, underTest: () => BusUnderTest): void {
  it('puts aside what another client wrote without key, value or id, and goes on', async () => {
    const bus = await service().bus();
    const topic = await service().newTopic(bus, 1);
    const { reach } = underTest();
    const producer = new Kafka({
      brokers: reach.kind === 'kafka' ? [...reach.brokers] : [],
      logLevel: logLevel.NOTHING,
    }).producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({
      topic,
      messages: [
        { key: null, value: 'no key', headers: { ce_id: 'a\0b', twice: ['1', '2'] } },
        { key: 'k', value: null, headers: { ce_id: 'tombstone' } },
        { key: 'k', value: Buffer.alloc(1_048_000, 'x'), headers: { ce_id: 'large' } },
        { key: 'k', value: Buffer.from([0xff, 0xfe]) },
      ],
    });
    await producer.disconnect();
    const events = eventsOf(2, 3);
    await publishSurely(bus, topic, events);
    await service().project(bus, topic, topic);
    await until('all is read', async () => (await lagOf(bus, topic)) === 0);
    expectEachOnceInOrder(await service().effects(topic), events);
    const letters = await listDeadLetters(bus, { topic });
    expect(letters.map(({ offset, code, record }) => [offset, code, record.headers['ce_id']])).toEqual([
      [0n, 'EVENT_MALFORMED', 'ab'],
      [1n, 'EVENT_MALFORMED', 'tombstone'],
      [2n, 'EVENT_MALFORMED', 'large'],
      [3n, 'EVENT_HEADER_MISSING', undefined],
    ]);
    expect(letters[0]?.record.headers['twice']).toBe('2');
  });
}

async function openKafka(): Promise<BusUnderTest> {
  const database = await createTestDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'watari-kafka-spec-'));
  let kafka = await startKafkaProcess(['--data-dir', dataDir]);
  const { brokers } = kafka;
  const port = brokers[0]?.split(':').at(-1) ?? '';
  return {
    reach: { kind: 'kafka', brokers, clientId: 'contract' },
    databaseUrl: database.url,
    stopBroker: () => kafka.stop(),
    startBroker: async () => {
      kafka = await startKafkaProcess(['--data-dir', dataDir, '--port', port]);
    },
    close: async () => {
      await kafka.stop();
      await rm(dataDir, { recursive: true, force: true });
      await database.close();
    },
  };
}
