import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HostTools, qemuDataDirs } from '@watari/host-tools';

export interface BootOptions {
  readonly tools: HostTools;
  readonly diskPath: string;
  /** `ahci` with e1000e is the physical server's hardware, `virtio` the target's. */
  readonly hardware: 'ahci' | 'virtio';
  readonly mac: string;
  readonly guestPort: number;
  readonly path: string;
  readonly consolePath: string;
  /** Ends the wait as well: what the console says when the guest gave up. */
  readonly endsAt?: RegExp;
  readonly timeoutMs: number;
}

/** Boots a disk, of which nothing is changed, until its web service answers, and says what it answered. */
export async function bootGuest(options: BootOptions): Promise<{ answer?: string; console: string }> {
  const { tools, diskPath, consolePath } = options;
  const port = await freePort();
  const devices = {
    ahci: ['ahci,id=sata', 'ide-hd,drive=disk,bus=sata.0', 'e1000e'],
    virtio: ['virtio-blk-pci,drive=disk', 'virtio-net-pci'],
  }[options.hardware];
  const qemu = await tools.spawn(
    'qemu-system-x86_64',
    [
      ...(await qemuDataDirs(tools)).flatMap((folder) => ['-L', folder]),
      ...['-machine', 'q35', '-accel', 'tcg', '-m', '512', '-display', 'none', '-no-reboot', '-nodefaults'],
      ...['-serial', `file:${consolePath}`],
      ...['-drive', `file=${diskPath},format=raw,if=none,id=disk,snapshot=on`],
      ...['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${port}-:${options.guestPort}`],
      ...devices.flatMap((device, index) => {
        const isNic = index === devices.length - 1;
        return ['-device', isNic ? `${device},netdev=net,mac=${options.mac}` : device];
      }),
    ],
    { stdio: 'ignore' },
  );
  const ended = once(qemu, 'exit');
  try {
    for (
      const end = Date.now() + options.timeoutMs;
      Date.now() < end && qemu.exitCode === null;
      await sleep(500)
    ) {
      const answer = await fetch(`http://127.0.0.1:${port}${options.path}`, {
        signal: AbortSignal.timeout(3000),
      })
        .then((response) => response.text())
        .catch(() => undefined);
      const console = await consoleOf(consolePath);
      if (answer !== undefined) return { answer, console };
      if (options.endsAt?.test(console)) return { console };
    }
    return { console: await consoleOf(consolePath) };
  } finally {
    qemu.kill('SIGKILL');
    await ended;
  }
}

const consoleOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
