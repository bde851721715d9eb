import { createBus } from '@watari/event-bus';
import { readTlsMaterial } from '@watari/host-agent-client';
import { z } from 'zod';
import { startApp } from './app';
import { createLogger } from './logging';
import type { ServiceDefinition } from './service-definition';

const Environment = z
  .object({
    DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL'),
    KAFKA_BROKERS: z.string().min(1).optional(),
    WATARI_BUS: z.enum(['kafka', 'postgres']).default('kafka'),
    WATARI_TOKEN: z.string().min(16, 'must have at least 16 characters'),
    WATARI_DATA: z.string().min(1).default('/var/lib/watari'),
    WATARI_PARTITIONS: z.coerce.number().int().min(1).max(256).default(6),
    WATARI_TLS_CERT: z.string().default('/etc/watari/tls/tls.crt'),
    WATARI_TLS_KEY: z.string().default('/etc/watari/tls/tls.key'),
    WATARI_TLS_CA: z.string().default('/etc/watari/tls/ca.crt'),
    HOST: z.string().default('0.0.0.0'),
    PORT: z.coerce.number().int().min(0).max(65535).default(8080),
  })
  .refine((env) => env.WATARI_BUS !== 'kafka' || env.KAFKA_BROKERS, {
    path: ['KAFKA_BROKERS'],
    message: 'must name the brokers (host:port,host:port), or set WATARI_BUS=postgres',
  });

/** Runs one service as a process of its own, configured by its environment; ends by SIGTERM or SIGINT. */
export async function runService(definition: ServiceDefinition): Promise<void> {
  const logger = createLogger();
  const parsed = Environment.safeParse(process.env);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues)
      logger.fatal({ variable: path.join('.') }, `${path.join('.')} ${message}`);
    process.exitCode = 78;
    return;
  }
  const env = parsed.data;
  const bus = await createBus(
    env.WATARI_BUS === 'kafka'
      ? { kind: 'kafka', brokers: (env.KAFKA_BROKERS ?? '').split(','), clientId: definition.name, logger }
      : { kind: 'postgres', databaseUrl: env.DATABASE_URL, logger },
  );
  const app = await startApp({
    platform: {
      databaseUrl: env.DATABASE_URL,
      bus,
      logger,
      dataFolder: env.WATARI_DATA,
      partitions: env.WATARI_PARTITIONS,
      agentTls: () =>
        readTlsMaterial({
          certificatePath: env.WATARI_TLS_CERT,
          keyPath: env.WATARI_TLS_KEY,
          authorityPath: env.WATARI_TLS_CA,
        }),
    },
    services: [definition],
    listen: { host: env.HOST, port: env.PORT },
    token: env.WATARI_TOKEN,
    title: definition.description,
  });
  logger.info({ service: definition.name, url: app.url }, 'ready');
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    app
      .close()
      .then(() => bus.close())
      .then(() => process.exit(0))
      .catch((error: unknown) => {
        logger.fatal({ err: error }, 'stopping failed');
        process.exit(1);
      });
  };
  process.once('SIGTERM', () => stop('SIGTERM'));
  process.once('SIGINT', () => stop('SIGINT'));
}
