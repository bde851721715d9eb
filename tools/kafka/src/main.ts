import { parseArgs } from 'node:util';
import { kafkaAvailability } from './availability';
import { startKafka } from './broker';
import { KafkaUnavailable } from './errors';

const USAGE = `Runs one Apache Kafka broker on 127.0.0.1 until Ctrl-C.

  --data-dir DIR      keep its data there (default: a temporary folder)
  --port N            listen on this port (default: a free one)
  --json              print the address as one line of JSON
  --until-stdin-ends  stop when standard input ends, for programs that start this one
  --check             only say whether a broker can be started; status 69 when not
`;
const USAGE_STATUS = 64;
const UNAVAILABLE_STATUS = 69;

function readArguments() {
  const { values } = parseArgs({
    options: {
      'data-dir': { type: 'string' },
      port: { type: 'string' },
      json: { type: 'boolean' },
      'until-stdin-ends': { type: 'boolean' },
      check: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.port !== undefined && !/^[1-9]\d{0,4}$/.test(values.port))
    throw new Error('--port takes 1 to 65535.');
  return values;
}

async function main(): Promise<number> {
  let args: ReturnType<typeof readArguments>;
  try {
    args = readArguments();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return USAGE_STATUS;
  }
  if (args.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  return args.check ? check(args.json === true) : run(args);
}

async function check(asJson: boolean): Promise<number> {
  const found = await kafkaAvailability();
  if (asJson) process.stdout.write(`${JSON.stringify(found)}\n`);
  else process.stdout.write(found.isAvailable ? 'Kafka can be used.\n' : `${found.reason} ${found.remedy}\n`);
  return found.isAvailable ? 0 : UNAVAILABLE_STATUS;
}

async function run(args: ReturnType<typeof readArguments>): Promise<number> {
  const asked = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => asked.abort());
  if (args['until-stdin-ends']) process.stdin.once('end', () => asked.abort()).resume();
  let died: string | undefined;
  try {
    const kafka = await startKafka({
      ...(args['data-dir'] !== undefined && { dataDir: args['data-dir'] }),
      ...(args.port !== undefined && { port: Number(args.port) }),
      signal: asked.signal,
      onProgress: (step) => process.stderr.write(`${step}\n`),
      onUnexpectedExit: (detail) => {
        died = detail;
        asked.abort();
      },
    });
    const { brokers, origin, pid } = kafka;
    process.stdout.write(
      args.json
        ? `${JSON.stringify({ brokers, origin, pid })}\n`
        : `KAFKA_BROKERS=${brokers.join(',')}\nCtrl-C stops it.\n`,
    );
    if (!asked.signal.aborted) {
      const alive = setInterval(() => undefined, 60_000);
      await new Promise((stop) => asked.signal.addEventListener('abort', stop, { once: true }));
      clearInterval(alive);
    }
    await kafka.stop();
  } catch (error) {
    if (asked.signal.aborted && died === undefined) return 0;
    if (!(error instanceof KafkaUnavailable)) throw error;
    process.stderr.write(`${error.message}\n`);
    return UNAVAILABLE_STATUS;
  }
  if (died === undefined) return 0;
  process.stderr.write(`Kafka ended by itself: ${died}\n`);
  return 1;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    process.exit(1);
  },
);
