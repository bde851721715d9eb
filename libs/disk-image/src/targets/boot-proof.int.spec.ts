import { once } from 'node:events';
import { createHostTools, ensureHostTools, qemuDataDirs } from '@watari/host-tools';
import { proofArguments } from './boot-proof';
import { TARGETS } from './targets';

const tools = createHostTools();

beforeAll(() => ensureHostTools(['qemu-system-x86_64']), 120_000);

describe('the machine for a boot proof', () => {
  it.each(Object.values(TARGETS).filter(({ bootProof }) => bootProof.kind === 'qemu'))(
    'is one that QEMU has: $name',
    async (target) => {
      const hardware = proofArguments(target, {
        driveId: 'disk0',
        nics: [{ netdevId: 'net0', mac: '52:54:00:00:00:01' }],
      });
      const child = await tools.spawn(
        'qemu-system-x86_64',
        [
          ...(await qemuDataDirs(tools)).flatMap((folder) => ['-L', folder]),
          ...['-accel', 'tcg', '-m', '64', '-S', '-nodefaults', '-display', 'none', '-monitor', 'stdio'],
          ...[
            '-blockdev',
            'driver=null-co,size=1073741824,node-name=disk0,read-zeroes=on',
            '-netdev',
            'user,id=net0',
          ],
          ...(hardware ?? []),
        ],
        { stdio: ['pipe', 'pipe', 'pipe'] },
      );
      const ended = once(child, 'close') as Promise<[number | null]>;
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-10_000)));
      child.stdin?.end('info block\nquit\n');
      const [status] = await ended;
      expect(said).toContain('Attached to');
      expect(status).toBe(0);
    },
    60_000,
  );
});
