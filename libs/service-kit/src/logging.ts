import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';

/** JSON lines; `file` instead of standard output where a person is reading along. Secrets are never passed in. */
export function createLogger(options: { level?: string; file?: string } = {}): Logger {
  const level = options.level ?? process.env['WATARI_LOG_LEVEL'] ?? 'info';
  const settings = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: ['token', '*.token', 'authorization', '*.password'],
  };
  return options.file
    ? pino(settings, pino.destination({ dest: options.file, mkdir: true, sync: true }))
    : pino(settings);
}

/** Sends what Nest says to our log; its start-up chatter is of no use at info. */
export function nestLogger(logger: Logger): LoggerService {
  const nest = logger.child({ component: 'nest' });
  return {
    log: (message: unknown) => nest.debug(String(message)),
    debug: (message: unknown) => nest.debug(String(message)),
    verbose: (message: unknown) => nest.trace(String(message)),
    warn: (message: unknown) => nest.warn(String(message)),
    error: (message: unknown, trace?: unknown) => nest.error({ trace }, String(message)),
    fatal: (message: unknown) => nest.fatal(String(message)),
  };
}
