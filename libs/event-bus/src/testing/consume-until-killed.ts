import { setTimeout as sleep } from 'node:timers/promises';
import type { Reach } from './bus-under-test';
import { TestService } from './test-service';

/** A member of two groups that tells of each event it begins with, and works on it for a while. Killed by its spec. */
async function main(): Promise<void> {
  const { reach, databaseUrl, topic, projecting, reacting, workMs } = JSON.parse(process.argv[2] ?? '{}') as {
    reach: Reach;
    databaseUrl: string;
    topic: string;
    projecting: string;
    reacting: string;
    workMs: number;
  };
  const service = await TestService.open(databaseUrl, reach);
  const bus = await service.bus();
  const work = (kind: string) => async () => {
    process.stdout.write(`${kind}\n`);
    await sleep(workMs);
  };
  await service.project(bus, projecting, topic, work('projecting'), 'child');
  await service.react(bus, reacting, topic, work('reacting'));
  process.stdout.write('ready\n');
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
