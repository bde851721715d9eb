import { BusError } from '../errors';

/** Connection exceptions (class 08), and a server that shuts down, starts up or is full. */
const AWAY =
  /^(08...|57P0[1-4]|53300|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH|ENOTFOUND)$/;
/** What the driver says without a code. */
const DRIVER_AWAY =
  /connection terminated|timeout (exceeded|expired)|query read timeout|not queryable|client was closed/i;

/** Runs `work`; a database that is away is told as BUS_UNAVAILABLE, everything else as it is. */
export async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BusError || !(error instanceof Error)) throw error;
    const { code, message } = error as Error & { code?: unknown };
    if (!(typeof code === 'string' ? AWAY.test(code) : DRIVER_AWAY.test(message))) throw error;
    throw new BusError(
      'BUS_UNAVAILABLE',
      `The database of the event bus does not answer: ${message || String(code)}`,
      {
        cause: error,
      },
    );
  }
}
