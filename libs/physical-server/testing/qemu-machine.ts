import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostTools, qemuDataDirs } from '@watari/host-tools';

export type DiskBus = 'ahci' | 'virtio-blk';

/** A machine for looking at what a disk does; writes go to a throw-away overlay. */
export class QemuMachine {
  private constructor(
    private readonly qemu: ChildProcess,
    private readonly folder: string,
    private readonly port: number,
    private readonly memoryMiB: number,
  ) {}

  static async start(
    tools: HostTools,
    disk: { path: string; bus: DiskBus },
    {
      machine,
      nicModel,
      mac,
      memoryMiB,
    }: { machine: string; nicModel: string; mac: string; memoryMiB: number },
  ): Promise<QemuMachine> {
    const folder = await mkdtemp(join(tmpdir(), 'watari-machine-'));
    const port = await freePort();
    const device = disk.bus === 'ahci' ? 'ide-hd,drive=disk,bus=ide.0' : 'virtio-blk-pci,drive=disk';
    const qemu = await tools.spawn(
      'qemu-system-x86_64',
      [
        ...(await qemuDataDirs(tools)).flatMap((path) => ['-L', path]),
        ...[
          '-machine',
          machine,
          '-accel',
          'tcg',
          '-m',
          String(memoryMiB),
          '-smp',
          '1',
          '-nodefaults',
          '-display',
          'none',
        ],
        ...['-drive', `if=none,id=disk,file=${disk.path},format=raw,snapshot=on`, '-device', device],
        ...['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${port}-:8080`],
        ...['-device', `${nicModel},netdev=net,mac=${mac},romfile=`],
        ...['-serial', `file:${join(folder, 'console')}`],
        ...[
          '-qmp',
          `unix:${join(folder, 'qmp')},server=on,wait=off`,
          '-gdb',
          `unix:${join(folder, 'gdb')},server=on,wait=off`,
        ],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    return new QemuMachine(qemu, folder, port, memoryMiB);
  }

  async stop(): Promise<void> {
    if (this.qemu.exitCode === null && this.qemu.signalCode === null) {
      this.qemu.kill('SIGKILL');
      await once(this.qemu, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  console(): Promise<string> {
    return readFile(join(this.folder, 'console'), 'utf8').catch(() => '');
  }

  /** Undefined when there is no answer. */
  ask(path: string, timeoutMs = 2000): Promise<string | undefined> {
    return new Promise((resolve) => {
      const request = get(
        { host: '127.0.0.1', port: this.port, path, agent: false, timeout: timeoutMs },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('end', () => resolve(body)).on('error', () => resolve(undefined));
        },
      );
      request.on('timeout', () => request.destroy()).on('error', () => resolve(undefined));
    });
  }

  /** Waits until `look` finds something, and fails with the console's end when it does not. */
  async until<T>(what: string, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
    const end = performance.now() + timeoutMs;
    while (performance.now() < end) {
      const found = await look();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    throw new Error(
      `No ${what} in ${timeoutMs / 1000} s. The console ended with:\n${(await this.console()).slice(-2000)}`,
    );
  }

  /** Inverts the first byte of every place in memory that holds `needle`, behind the system's back. Returns how many. */
  async spoil(needle: Buffer): Promise<number> {
    const dump = join(this.folder, 'memory');
    const qmp = await Lines.open(join(this.folder, 'qmp'));
    const command = async (execute: string, args: object = {}) => {
      qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
      const line = await qmp.next((text) => /"(return|error)":/.test(text));
      if (line.includes('"error"')) throw new Error(line);
    };
    await command('qmp_capabilities');
    await command('stop');
    await command('pmemsave', { val: 0, size: this.memoryMiB * 1024 * 1024, filename: dump });
    const memory = await readFile(dump);
    const gdb = await Lines.open(join(this.folder, 'gdb'));
    let count = 0;
    await gdb.packet('Qqemu.PhyMemMode:1');
    for (let at = memory.indexOf(needle); at >= 0; at = memory.indexOf(needle, at + 1)) {
      const spoilt = (memory[at] as number) ^ 0xff;
      await gdb.packet(`M${at.toString(16)},1:${spoilt.toString(16).padStart(2, '0')}`);
      count += 1;
    }
    await gdb.packet('D');
    gdb.close();
    await command('cont');
    qmp.close();
    return count;
  }
}

/** One of QEMU's control sockets: lines of QMP, or packets of the debugger's protocol. */
class Lines {
  private buffer = '';

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('latin1').on('data', (chunk: string) => (this.buffer += chunk));
  }

  static async open(path: string): Promise<Lines> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new Lines(socket);
  }

  write(text: string): void {
    this.socket.write(text);
  }

  close(): void {
    this.socket.destroy();
  }

  async next(isWanted: (line: string) => boolean): Promise<string> {
    for (;;) {
      const end = this.buffer.indexOf('\n');
      if (end < 0) {
        await this.more();
        continue;
      }
      const line = this.buffer.slice(0, end);
      this.buffer = this.buffer.slice(end + 1);
      if (isWanted(line)) return line;
    }
  }

  async packet(body: string): Promise<void> {
    const sum = [...body].reduce((total, letter) => (total + letter.charCodeAt(0)) & 0xff, 0);
    this.write(`$${body}#${sum.toString(16).padStart(2, '0')}`);
    for (;;) {
      const reply = /\$([^#]*)#[0-9a-f]{2}/.exec(this.buffer);
      if (reply) {
        this.buffer = this.buffer.slice(reply.index + reply[0].length);
        this.write('+');
        if (reply[1] !== 'OK') throw new Error(`The debugger's stub answered "${reply[1]}" to ${body}.`);
        return;
      }
      await this.more();
    }
  }

  private async more(): Promise<void> {
    await once(this.socket, 'data', { signal: AbortSignal.timeout(20_000) });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('No port was given.');
  return address.port;
}
