import { startPostgres } from '../src';

/** Starts a server in the folder named by the first argument, says so, and waits to be killed. */
async function main(): Promise<void> {
  const server = await startPostgres({ dataDir: process.argv[2] ?? '' });
  process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid })}\n`);
  setInterval(() => undefined, 1000);
}

void main();
