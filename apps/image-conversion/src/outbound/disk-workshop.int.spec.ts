import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostTools, ensureHostTools } from '@watari/host-tools';
import { type PhysicalServer, buildPhysicalServer } from '@watari/physical-server';
import { createDiskWorkshop } from './disk-workshop';

jest.setTimeout(120_000);

const ID = '0b8f0000-0000-4000-8000-000000000001';
const tools = createHostTools();
let folder: string;
let server: PhysicalServer;

beforeAll(async () => {
  await ensureHostTools(['debugfs', 'e2fsck', 'dumpe2fs']);
  server = await buildPhysicalServer({ tools });
  folder = await mkdtemp(join(tmpdir(), 'disk-workshop-'));
}, 1_800_000);

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
});

const run = (told: string[] = [], signal = new AbortController().signal) => ({
  signal,
  progress: (text: string) => void told.push(text),
});

describe('disk workshop', () => {
  it('copies, converts, converts anew after a crash, and discards', async () => {
    const workshop = createDiskWorkshop(folder, tools);
    const before = (await stat(server.diskPath)).mtimeMs;
    const { replica, copiedBytes } = await workshop.copy(ID, { path: server.diskPath, format: 'raw' }, run());
    expect(copiedBytes).toBeGreaterThan(100_000_000);
    expect((await stat(replica.path)).size).toBe(server.sizeBytes);

    const told: string[] = [];
    const first = await workshop.convert(ID, replica, server.hardware.mac, run(told));
    expect(first.mac).toBe(server.hardware.mac);
    expect(first.steps.map(({ name }) => name)).toContain('boot-drivers');
    expect(told).toContain('adding the drivers of the target');
    expect(JSON.parse(await readFile(first.manifestPath, 'utf8'))).toMatchObject({
      kind: 'watari-conversion',
    });

    const second = await workshop.convert(ID, replica, undefined, run());
    expect(second).toEqual(first);

    await workshop.discard(ID, 'clone');
    expect(await readdir(join(folder, 'conversions', ID))).toEqual(['replica.raw']);
    await workshop.discard(ID, 'copy');
    await workshop.discard(ID, 'copy');
    expect(await readdir(join(folder, 'conversions'))).toEqual([]);
    expect((await stat(server.diskPath)).mtimeMs).toBe(before);
  });

  it('leaves nothing of a copy that is stopped', async () => {
    const workshop = createDiskWorkshop(folder, tools);
    const aborter = new AbortController();
    const progress = () => aborter.abort(new Error('stopped'));
    const running = workshop.copy(
      ID,
      { path: server.diskPath, format: 'raw' },
      { signal: aborter.signal, progress },
    );
    await expect(running).rejects.toThrow('stopped');
    expect(await readdir(join(folder, 'conversions', ID))).toEqual([]);
  });
});
