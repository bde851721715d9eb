import { type LogEntry, logLevel } from 'kafkajs';
import type { Logger } from 'pino';

/** What kafkajs calls errors and deals with itself: a group that is being formed, a coordinator that just started. */
const ROUTINE =
  /rebalanc|coordinator (is )?(loading|not available)|not the (correct )?coordinator|crash: KafkaJSNumberOfRetriesExceeded|does not host this topic-partition|no leader for this topic-partition/i;

/** Sends what kafkajs says to our log, and what is routine there to its debug level. */
export function kafkaLog(logger: Logger): () => (entry: LogEntry) => void {
  const kafka = logger.child({ component: 'kafkajs' });
  return () =>
    ({ level, log, namespace }) => {
      const { message, error, timestamp: _timestamp, logger: _name, stack: _stack, ...rest } = log;
      const text = `${namespace}: ${message}`;
      const details = { ...rest, ...(error !== undefined && { error: String(error) }) };
      if (level === logLevel.ERROR && !ROUTINE.test(`${message} ${String(error)}`))
        kafka.error(details, text);
      else if (level === logLevel.WARN) kafka.warn(details, text);
      else kafka.debug(details, text);
    };
}
