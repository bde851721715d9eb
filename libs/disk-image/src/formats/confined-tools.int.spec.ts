import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTools, createHostTools, ensureHostTools } from '@watari/host-tools';
import { confine } from './confined-tools';

const MIB = 1024 * 1024;
const tools = createHostTools();
let folder: string;

beforeAll(async () => {
  await ensureHostTools(['qemu-img']);
  folder = await mkdtemp(join(tmpdir(), 'confined-tools-spec-'));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const create = (by: HostTools, path: string): Promise<unknown> =>
  by.run('qemu-img', ['create', '-q', '-f', 'raw', '-o', 'preallocation=full', path, '4M']);

describe('a confined program', () => {
  it('writes no file beyond its limit', async () => {
    const path = join(folder, 'disk.raw');
    await expect(create(confine(tools, { fileBytesMax: MIB }), path)).rejects.toMatchObject({
      code: 'HOST_TOOL_FAILED',
    });
    expect((await stat(path)).size).toBeLessThanOrEqual(MIB);
    await create(confine(tools, { fileBytesMax: 8 * MIB }), path);
    expect((await stat(path)).size).toBe(4 * MIB);
  });

  it('reaches no network, where it would by itself', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `nbd://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const attempt = (by: HostTools): Promise<unknown> => by.run('qemu-img', ['info', '-f', 'raw', address]);
    try {
      await expect(attempt(confine(tools, { fileBytesMax: MIB }))).rejects.toMatchObject({
        code: 'HOST_TOOL_FAILED',
      });
      expect(connections).toBe(0);
      await expect(attempt(tools)).rejects.toMatchObject({ code: 'HOST_TOOL_FAILED' });
      expect(connections).toBe(1);
    } finally {
      server.close();
    }
  });
});
