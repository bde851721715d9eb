import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, readdir, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { QemuMachine } from '../testing/qemu-machine';
import { type PhysicalServer, buildPhysicalServer } from './index';

/** It takes 30 s under software emulation on an idle machine, and was seen to take 170 s on a crowded one. */
const BOOT_MS = 240_000;
const SLICE_BYTES = 64 * 1024;
const SLICE_COUNT = 256;

interface Report {
  readonly hostname: string;
  readonly bootId: string;
  readonly counter: number;
  readonly blockBytes: number;
  readonly blockSha256: string;
  readonly blockExpectedSha256: string;
  readonly intact: boolean;
  readonly badSlices: number;
  readonly slicesWritten: number;
}

describe("the demonstration's physical server", () => {
  const tools = createHostTools();
  let server: PhysicalServer;

  beforeAll(async () => {
    await ensureHostTools(['qemu-system-x86_64']);
    server = await buildPhysicalServer({ tools });
  }, 900_000);

  it('is made once, sealed, and given back at once', async () => {
    const begin = performance.now();
    expect(await buildPhysicalServer({ tools })).toEqual(server);
    expect(performance.now() - begin).toBeLessThan(1000);
    const { size, mode } = await stat(server.diskPath);
    expect(size).toBe(server.sizeBytes);
    expect(mode & 0o777).toBe(0o444);
  });

  it('comes up on its own hardware, counts, keeps its block, and tells a byte that was changed in it', async () => {
    const machine = await QemuMachine.start(tools, { path: server.diskPath, bus: 'ahci' }, server.hardware);
    try {
      const report = async (path: string): Promise<Report | undefined> => {
        const body = await machine.ask(path, 5000);
        return body === undefined ? undefined : (JSON.parse(body) as Report);
      };
      const first = await machine.until('answer', BOOT_MS, () => report(server.probe.path));
      expect(first).toMatchObject({
        hostname: server.hostname,
        intact: true,
        blockBytes: SLICE_BYTES * SLICE_COUNT,
      });

      const begin = performance.now();
      await report('/');
      expect(performance.now() - begin).toBeLessThan(200);

      const second = await machine.until('verified answer', 30_000, () => report('/verified'));
      expect(second).toMatchObject({ bootId: first.bootId, intact: true, badSlices: 0 });
      expect(second.blockSha256).toBe(second.blockExpectedSha256);
      expect(second.blockSha256).not.toBe(first.blockSha256);
      expect(second.counter).toBeGreaterThan(first.counter);

      // The slice whose turn to be written comes last: it holds its first contents for a while.
      expect(second.slicesWritten).toBeLessThan(SLICE_COUNT / 2);
      const index = ((SLICE_COUNT - 1) * 97) % SLICE_COUNT;
      const contents = createHash('shake128', { outputLength: SLICE_BYTES }).update(`${index}:0`).digest();
      expect(await machine.spoil(contents.subarray(20_000, 20_032))).toBeGreaterThan(0);
      const spoilt = await machine.until('verified answer', 30_000, () => report('/verified'));
      expect(spoilt).toMatchObject({ bootId: first.bootId, intact: false, badSlices: 1 });
      expect(spoilt.blockSha256).not.toBe(spoilt.blockExpectedSha256);
    } finally {
      await machine.stop();
    }
  }, 330_000);

  it('does not come up from a virtio disk, for want of a driver', async () => {
    const hardware = { ...server.hardware, nicModel: 'virtio-net-pci' };
    const machine = await QemuMachine.start(tools, { path: server.diskPath, bus: 'virtio-blk' }, hardware);
    try {
      const end = await machine.until('end of its start', BOOT_MS, async () => {
        const text = await machine.console();
        return text.includes('(initramfs)') || (await machine.ask('/')) !== undefined ? text : undefined;
      });
      expect(end).toMatch(/\/dev\/sda1 does not exist/);
    } finally {
      await machine.stop();
    }
  }, 270_000);

  it('leaves no file, mount or process behind when its making is aborted', async () => {
    const cacheDir = await mkdtemp(join(tools.cacheDir, 'aborted-'));
    const home = join(cacheDir, 'physical-server');
    try {
      await cp(join(tools.cacheDir, 'physical-server', 'apt'), join(home, 'apt'), { recursive: true }).catch(
        ignoreAbsent,
      );
      const stop = new AbortController();
      const reason = new Error('enough');
      let wasAtWork = false;
      const onProgress = (step: string) => {
        if (!step.startsWith('setting up')) return;
        wasAtWork = true;
        stop.abort(reason);
      };
      await expect(buildPhysicalServer({ tools, cacheDir, onProgress, signal: stop.signal })).rejects.toBe(
        reason,
      );
      expect(wasAtWork).toBe(true);
      expect(await readdir(home)).toEqual(['apt']);
      expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(cacheDir);
      expect(await processesRootedIn(cacheDir)).toEqual([]);
    } finally {
      await rm(cacheDir, { recursive: true, force: true });
    }
  }, 300_000);
});

async function processesRootedIn(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const roots = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/root`).catch(() => '')));
  return pids.filter((_, index) => roots[index]?.startsWith(folder));
}

function ignoreAbsent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
