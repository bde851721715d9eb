import type { Logger } from 'pino';
import type { EventBus } from './event-bus';
import { KafkaBus } from './kafka/kafka-bus';
import { PostgresBus } from './postgres/postgres-bus';

export type BusSettings = { readonly logger: Logger } & (
  | { readonly kind: 'kafka'; readonly brokers: readonly string[]; readonly clientId: string }
  | { readonly kind: 'postgres'; readonly databaseUrl: string }
);

/** Opens the bus that an installation is set up with; rejects with BUS_UNAVAILABLE when it does not answer. */
export async function createBus(settings: BusSettings): Promise<EventBus> {
  const { logger } = settings;
  if (settings.kind === 'kafka') {
    const { brokers, clientId } = settings;
    return KafkaBus.connect({ brokers, clientId, logger });
  }
  return PostgresBus.connect({
    connectionString: settings.databaseUrl,
    onError: (error) => logger.warn({ err: error }, 'the event bus was disturbed; it goes on'),
  });
}
