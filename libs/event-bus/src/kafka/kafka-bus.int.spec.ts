import { createTestDatabase } from '@watari/embedded-postgres';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busContract } from '../testing/bus-contract';
import type { BusUnderTest } from '../testing/bus-under-test';
import { startKafkaProcess, whyNoKafka } from '../testing/kafka-process';

const missing = whyNoKafka();
const isRequired = process.env['WATARI_REQUIRE_KAFKA'] === '1';

if (missing === undefined) {
  // A cluster of the user's own is not ours to stop.
  describe('the event bus on Kafka', () => busContract(openKafka, { canStopBroker: !process.env['KAFKA_BROKERS'] }));
} else if (isRequired) {
  it('has a Kafka to run on', () => {
    throw new Error(missing);
  });
} else {
  describe.skip(`the event bus on Kafka (${missing})`, () => busContract(openKafka, { canStopBroker: true }));
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
