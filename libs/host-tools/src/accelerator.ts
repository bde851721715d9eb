import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostToolError } from './errors';
import { type HostTools, qemuDataDirs } from './host-tools';
import { isThere } from './cache-folder';

export interface Accelerator {
  readonly accelerator: 'kvm' | 'tcg';
  /** Why this one, in words. */
  readonly reason: string;
  readonly qemuVersion: string;
}

/**
 * The processor that guests get, on every host and under either accelerator, so that they can move: x86-64-v2. With
 * `enforce` QEMU refuses where the host cannot give it.
 */
export const GUEST_CPU_MODEL = 'Nehalem-v1';

/** A boot sector that writes 0x10 to port 0xf4: `mov al, 0x10; out 0xf4, al; hlt; jmp $`. */
const PROBE_PROGRAM = [0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfe];
const SECTOR_BYTES = 512;
/** Firmware does not boot from a SATA disk of a single sector. */
const PROBE_DISK_BYTES = 4 * 1024 * 1024;
/** isa-debug-exit ends QEMU with `(value << 1) | 1`. */
const PROBE_STATUS = (0x10 << 1) | 1;
/** Hardware gets there in a second or two; one that hangs never does. */
const PROBE_TIMEOUT_MS = 8000;

/**
 * Boots the smallest of guests under KVM, with the machine type and processor that guests get, and waits for its
 * sign. That /dev/kvm exists, and even opens, proves nothing: there are machines where a guest then never runs, and
 * some that offer a processor no current system boots on. Without KVM it is software emulation.
 */
export async function probeAccelerator(tools: HostTools): Promise<Accelerator> {
  const { version = 'unknown' } = await tools.resolve('qemu-system-x86_64');
  if (!(await isThere('/dev/kvm')))
    return { accelerator: 'tcg', reason: 'there is no /dev/kvm', qemuVersion: version };
  const why = await bootFails(tools, 'kvm');
  return why === undefined
    ? { accelerator: 'kvm', reason: 'a probe guest booted under KVM', qemuVersion: version }
    : {
        accelerator: 'tcg',
        reason: `/dev/kvm is there, but a probe guest did not boot: ${why}`,
        qemuVersion: version,
      };
}

/** Undefined when the guest gave its sign, else why not. */
export async function bootFails(tools: HostTools, accelerator: 'kvm' | 'tcg'): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'watari-probe-'));
  try {
    const disk = join(folder, 'probe.raw');
    await writeFile(disk, bootDisk(PROBE_PROGRAM));
    const firmware = (await qemuDataDirs(tools)).flatMap((dir) => ['-L', dir]);
    const { status } = await tools.run(
      'qemu-system-x86_64',
      [
        ...firmware,
        ...[
          '-nodefaults',
          '-no-user-config',
          '-display',
          'none',
          '-machine',
          'q35',
          '-cpu',
          `${GUEST_CPU_MODEL},enforce`,
          '-m',
          '64',
          '-accel',
          accelerator,
        ],
        ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'],
        ...['-blockdev', `driver=raw,node-name=probe,file.driver=file,file.filename=${disk}`],
        ...['-device', 'ide-hd,drive=probe', '-boot', 'c'],
      ],
      { timeoutMs: PROBE_TIMEOUT_MS, okStatuses: [PROBE_STATUS, 0] },
    );
    return status === PROBE_STATUS ? undefined : `QEMU ended with status ${status}`;
  } catch (error) {
    if (error instanceof HostToolError) return error.message;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function bootDisk(program: readonly number[]): Uint8Array {
  const disk = Buffer.alloc(PROBE_DISK_BYTES);
  disk.set(program);
  disk.set([0x55, 0xaa], SECTOR_BYTES - 2);
  return disk;
}
