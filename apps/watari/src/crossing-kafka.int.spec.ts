import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFakeServer } from '@watari/disk-image/testing';
import { type KafkaProcess, startKafkaProcess, whyNoKafka } from '@watari/event-bus/testing';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { DISK_TOOLS } from './demo/demo';
import { ControlPlane } from './testing/control-plane';
import { STORY_OF_A_COLD_MIGRATION, storyOf } from './testing/story';

const missing = whyNoKafka();
const mustRun = missing === undefined || process.env['WATARI_REQUIRE_KAFKA'] === '1';

(mustRun ? describe : describe.skip)(`a crossing over Kafka${missing ? ` (${missing})` : ''}`, () => {
  let folder: string;
  let broker: KafkaProcess | undefined;
  let control: ControlPlane | undefined;

  beforeAll(async () => {
    await ensureHostTools(DISK_TOOLS);
    folder = await mkdtemp(join(tmpdir(), 'watari-crossing-'));
    broker = await startKafkaProcess([]);
    control = await ControlPlane.start(broker.brokers);
  }, 180_000);
  afterAll(async () => {
    await control?.close();
    await broker?.stop();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  it('makes the same events as over Postgres', async () => {
    if (!control) throw new Error('The services did not start.');
    const disk = await makeFakeServer({ folder, tools: createHostTools() });
    const { serverId } = await control.register('server-k', disk);
    const cold = await control.end(await control.begin(serverId, 'host-a'));
    expect(storyOf(await control.journal(cold.migrationId))).toEqual(STORY_OF_A_COLD_MIGRATION);
    expect((await control.end(await control.begin(serverId, 'host-b'))).status).toBe('completed');
  }, 120_000);
});
