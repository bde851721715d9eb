import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(__dirname, '../../../..');
/** A program of the workspace, not a library: this package knows nothing of it but how to start it. */
const COMMAND = [
  '--conditions=@watari/source',
  '--require',
  join(ROOT, 'tools/workspace/run-typescript.cjs'),
  join(ROOT, 'tools/kafka/src/main.ts'),
];

/** Why no Kafka can be had here, or undefined when one can. */
export function whyNoKafka(): string | undefined {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...COMMAND, '--check'], {
    encoding: 'utf8',
  });
  return status === 0 ? undefined : (stdout || stderr).trim();
}

export interface KafkaProcess {
  readonly brokers: readonly string[];
  stop(): Promise<void>;
}

/** A broker by the workspace's own command; it ends with this process, however that ends. */
export async function startKafkaProcess(args: readonly string[]): Promise<KafkaProcess> {
  const child = spawn(process.execPath, [...COMMAND, '--json', '--until-stdin-ends', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4000)));
  const exited = new Promise<void>((gone) => child.once('exit', () => gone()));
  const told = await Promise.race([firstLine(child), exited]);
  if (told === undefined) throw new Error(`Kafka did not start: ${stderr}`);
  const { brokers } = JSON.parse(told) as { brokers: string[] };
  return {
    brokers,
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}

function firstLine({ stdout }: ChildProcess): Promise<string> {
  return new Promise((found) => {
    if (stdout) createInterface({ input: stdout }).once('line', found);
  });
}
