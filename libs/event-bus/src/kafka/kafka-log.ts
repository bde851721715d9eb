import { type LogEntry, logLevel } from 'kafkajs';
import type { Logger } from 'pino';

/**
 * What kafkajs calls errors or warnings and then deals with, by trying again or by telling us: a broker that is
 * away, a group that is being formed, a coordinator that just started. Whoever calls the bus hears of what lasts.
 */
const ROUTINE =
  /^(Connection|BrokerPool|Consumer: Crash)|rebalanc|coordinator|does not host this topic-partition|no leader for|not the leader for|Limiting retries|Failed to send messages|stale metadata|KafkaJSNumberOfRetriesExceeded/i;

/** Sends what kafkajs says to our log, and what is routine there to its debug level. */
export function kafkaLog(logger: Logger): () => (entry: LogEntry) => void {
  const kafka = logger.child({ component: 'kafkajs' });
  return () =>
    ({ level, log, namespace }) => {
      const { message, error, timestamp: _timestamp, logger: _name, stack: _stack, ...rest } = log;
      const text = `${namespace}: ${message}`;
      const details = { ...rest, ...(error !== undefined && { error: String(error) }) };
      const isNews = level <= logLevel.WARN && !ROUTINE.test(text) && !ROUTINE.test(String(error));
      if (isNews) kafka.warn(details, text);
      else kafka.debug(details, text);
    };
}
