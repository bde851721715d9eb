import type { ChildProcess } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { type HostTools, programEnv, qemuDataDirs, spawnProgram } from '@watari/host-tools';
import type { DiskFormat } from '../../image/disk-format';
import { ApplianceError } from '../errors';
import type { ApplianceImage } from '../image/build-image';
import { ConsoleTail } from './console-tail';

export interface ApplianceDisk {
  readonly path: string;
  readonly format: DiskFormat;
}

export interface MachineOptions {
  readonly image: ApplianceImage;
  readonly disks: readonly ApplianceDisk[];
  readonly readOnly: boolean;
  readonly memoryMiB: number;
  readonly accelerator: 'kvm' | 'tcg';
  readonly tools: HostTools;
}

const SETPRIV = '/usr/bin/setpriv';
const STDERR_BYTES_KEPT = 8 * 1024;
/** Descriptors of the process: 0 to 2 are standard, these are sockets to us, which no one else can reach. */
const [CHANNEL_FD, CONSOLE_FD] = [3, 4];
/** Emulated code is kept in a bounded store. */
const ACCELERATION = { kvm: 'kvm', tcg: 'tcg,tb-size=64' } as const;
/** Any trouble of the kernel ends the machine; it would otherwise stand there and be waited for. */
const KERNEL_OPTIONS = [
  'console=ttyS0',
  'quiet',
  'loglevel=4',
  'panic=-1',
  'oops=panic',
  'panic_on_warn=0',
  'mitigations=off',
  'tsc=reliable',
  'random.trust_cpu=on',
  'ipv6.disable=1',
  'apparmor=0',
];

/** The QEMU process of one appliance: no network, one processor, its disks, and two sockets to us. */
export class Machine {
  readonly console = new ConsoleTail();
  /** How it ended, in words; never rejects. */
  readonly ended: Promise<string>;
  private stderr = '';

  private constructor(
    private readonly child: ChildProcess,
    readonly channel: Duplex,
    consoleStream: Duplex,
  ) {
    consoleStream.on('data', (chunk: Buffer) => this.console.add(chunk));
    // A socket of a process that is killed may report that; its end is told by the process.
    for (const stream of [consoleStream, channel]) stream.on('error', () => undefined);
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString('utf8')).slice(-STDERR_BYTES_KEPT);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (status, signal) => resolve(signal ?? `status ${status ?? 'unknown'}`));
    });
  }

  static async start(options: MachineOptions): Promise<Machine> {
    const { path, env } = await options.tools.resolve('qemu-system-x86_64');
    const args = await qemuArguments(options);
    // Should we be killed, so is QEMU.
    const leash = (await isExecutable(SETPRIV)) ? [SETPRIV, '--pdeathsig', 'KILL', '--', path] : [path];
    const child = spawnProgram(leash[0] ?? path, [...leash.slice(1), ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: programEnv(env),
      cwd: '/',
    });
    const [channel, consoleStream] = [child.stdio[CHANNEL_FD], child.stdio[CONSOLE_FD]];
    if (!channel || !consoleStream)
      throw new ApplianceError(
        'APPLIANCE_UNAVAILABLE',
        'QEMU cannot be started: no more files can be opened.',
      );
    return new Machine(child, channel as Duplex, consoleStream as Duplex);
  }

  /** What it said when it ended by itself. */
  lastWords(): string {
    const said = this.stderr.trim().slice(-600);
    return said || this.console.summary() || 'it said nothing';
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

async function qemuArguments(options: MachineOptions): Promise<string[]> {
  const { image, disks, readOnly, memoryMiB, accelerator, tools } = options;
  const kernel = [...KERNEL_OPTIONS, ...(readOnly ? ['watari.readonly', 'md_mod.start_ro=1'] : [])];
  return [
    ...(await qemuDataDirs(tools)).flatMap((folder) => ['-L', folder]),
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-machine', 'q35,usb=off,vmport=off,smbus=off,sata=off', '-accel', ACCELERATION[accelerator]],
    // Five levels of page tables are of no use here, and slow under emulation.
    ...['-cpu', 'max,la57=off', '-smp', '1', '-m', `${memoryMiB}M`],
    ...['-kernel', image.kernelPath, '-initrd', image.initramfsPath, '-append', kernel.join(' ')],
    ...['-chardev', `socket,id=console,fd=${CONSOLE_FD}`, '-device', 'isa-serial,chardev=console'],
    ...['-chardev', `socket,id=channel,fd=${CHANNEL_FD}`, '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=channel,name=watari.appliance'],
    ...disks.flatMap((disk, index) => diskArguments(disk, index, readOnly)),
  ];
}

function diskArguments({ path, format }: ApplianceDisk, index: number, readOnly: boolean): string[] {
  const common = { 'read-only': readOnly, discard: 'unmap' };
  const node = {
    ...common,
    driver: format,
    'node-name': `disk${index}`,
    ...(!readOnly && { 'detect-zeroes': 'unmap' }),
    // Whatever a header says: there is no other file.
    ...(format === 'qcow2' && { backing: null }),
    file: { ...common, driver: 'file', filename: path },
  };
  return [
    ...['-blockdev', JSON.stringify(node)],
    ...['-device', `virtio-blk-pci,drive=disk${index},serial=watari-${index}`],
  ];
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
