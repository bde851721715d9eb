import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Side = 'a' | 'b';
export const SIDES: readonly Side[] = ['a', 'b'];

const PREFIX = 'watari-bench-';
const DEVICE = 'shaped0';
/** What the token bucket lets through at once, and how long its queue is in time. */
const BURST_BYTES = 131_072;
const QUEUE_MS = 20;

/**
 * Two network namespaces joined by a veth pair with a token bucket on each end. Each is also joined to the caller's
 * namespace by a pair of its own, for control traffic that is not to be counted.
 */
export class ShapedLink {
  private constructor(readonly name: string) {}

  /** Needs root. What a benchmark that was killed left behind is removed first. */
  static async open(): Promise<ShapedLink> {
    await removeLeftBehind();
    const link = new ShapedLink(`${PREFIX}${process.pid}`);
    try {
      await link.#build();
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  namespace(side: Side): string {
    return `${this.name}-${side}`;
  }

  /** On the shaped link. */
  address(side: Side): string {
    return side === 'a' ? '10.197.64.1' : '10.197.64.2';
  }

  /** From the caller's namespace. */
  controlAddress(side: Side): string {
    return side === 'a' ? '10.197.65.2' : '10.197.66.2';
  }

  async setRate(megabitsPerSecond: number): Promise<void> {
    for (const side of SIDES)
      await ip(
        ...['netns', 'exec', this.namespace(side), 'tc', 'qdisc', 'replace', 'dev', DEVICE, 'root', 'tbf'],
        ...['rate', `${megabitsPerSecond}mbit`, 'burst', `${BURST_BYTES}`, 'latency', `${QUEUE_MS}ms`],
      );
  }

  /** Bytes that crossed so far, both directions together, with all headers. */
  async bytes(): Promise<number> {
    const said = await ip('-n', this.namespace('a'), '-j', '-s', 'link', 'show', 'dev', DEVICE);
    const [device] = JSON.parse(said) as { stats64: Record<'rx' | 'tx', { bytes: number }> }[];
    return device!.stats64.rx.bytes + device!.stats64.tx.bytes;
  }

  /** Ends what still runs in the namespaces, and removes them. */
  async close(): Promise<void> {
    for (const side of SIDES) await removeNamespace(this.namespace(side));
  }

  async #build(): Promise<void> {
    for (const side of SIDES) {
      const namespace = this.namespace(side);
      await ip('netns', 'add', namespace);
      await ip('-n', namespace, 'link', 'set', 'lo', 'up');
      const control = `wb${process.pid}${side}`;
      await ip(...['link', 'add', control, 'type', 'veth', 'peer', 'name', 'control', 'netns', namespace]);
      const address = this.controlAddress(side);
      await ip('addr', 'add', `${address.replace(/2$/, '1')}/30`, 'dev', control);
      await ip('link', 'set', control, 'up');
      await ip('-n', namespace, 'addr', 'add', `${address}/30`, 'dev', 'control');
      await ip('-n', namespace, 'link', 'set', 'control', 'up');
    }
    await ip(
      ...['-n', this.namespace('a'), 'link', 'add', DEVICE, 'type', 'veth'],
      ...['peer', 'name', DEVICE, 'netns', this.namespace('b')],
    );
    for (const side of SIDES) {
      await ip('-n', this.namespace(side), 'addr', 'add', `${this.address(side)}/30`, 'dev', DEVICE);
      await ip('-n', this.namespace(side), 'link', 'set', DEVICE, 'up');
    }
  }
}

async function removeLeftBehind(): Promise<void> {
  const names = await readdir('/run/netns').catch(() => []);
  for (const name of names) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-[ab]$`).exec(name)?.[1];
    if (pid === undefined) continue;
    const isAlive = await access(`/proc/${pid}`).then(
      () => true,
      () => false,
    );
    if (!isAlive) await removeNamespace(name);
  }
}

async function removeNamespace(name: string): Promise<void> {
  const pids = await ip('netns', 'pids', name).catch(() => null);
  if (pids === null) return;
  for (const pid of pids.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
  await ip('netns', 'del', name);
}

async function ip(...args: string[]): Promise<string> {
  const { stdout } = await run('ip', args);
  return stdout;
}
