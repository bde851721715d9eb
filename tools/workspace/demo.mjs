// npm run demo -- [--bus kafka] [--disk FILE --probe …]: the main job, end to end. With --bus kafka a real broker is
// started for it, unless KAFKA_BROKERS names a running cluster.
import { createRequire } from 'node:module';
import { ensureBuilt, root } from './build.mjs';

ensureBuilt();
const main = `${root}apps/watari/dist/main.js`;
const args = process.argv.slice(2);
const wantsKafka = args.some(
  (arg, index) => arg === '--bus=kafka' || (arg === '--bus' && args[index + 1] === 'kafka'),
);
if (wantsKafka && !process.env.KAFKA_BROKERS) {
  const { startKafka } = createRequire(import.meta.url)(`${root}tools/kafka`);
  const kafka = await startKafka({ onProgress: (step) => console.error(`  ${step}`) });
  process.env.KAFKA_BROKERS = kafka.brokers.join(',');
  process.on('exit', () => process.kill(kafka.pid, 'SIGTERM'));
}
process.argv = [process.argv[0], main, 'demo', ...args];
await import(main);
