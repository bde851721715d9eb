import type { LoggerService } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
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

/** One line per request that changes something, or that failed; reading is told at debug. */
export function requestLog(
  logger: Logger,
): (request: Request, response: Response, next: NextFunction) => void {
  return (request, response, next) => {
    const began = performance.now();
    response.once('finish', () => {
      const { statusCode } = response;
      const isReading = request.method === 'GET' || request.method === 'HEAD';
      logger[isReading && statusCode < 400 ? 'debug' : 'info'](
        {
          method: request.method,
          path: request.path.slice(0, 300),
          status: statusCode,
          tookMs: Math.round(performance.now() - began),
          correlationId: request.get('x-correlation-id')?.slice(0, 100),
        },
        'a request was answered',
      );
    });
    next();
  };
}
