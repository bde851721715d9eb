import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HostTools, probeAccelerator } from '@watari/host-tools';
import { z } from 'zod';
import { DiskUnusable } from '../errors';
import { openReadOnly } from '../image/byte-source';
import { readDiskShape } from '../image/disk-format';
import { ApplianceFiles } from './appliance-files';
import { diskError } from './disk-refusal';
import { ApplianceError } from './errors';
import { ensureImage } from './image/build-image';
import { PAYLOAD_BYTES_MAX } from './machine/frames';
import { type ApplianceDisk, Machine } from './machine/machine';
import { Peer, type Request } from './machine/peer';
import { MemoryBudget } from './memory-budget';
import { DiskScan, LUKS_CONTENT } from './scan';

export interface ApplianceOptions {
  /** A whole disk, opened with its format as it is given here. Must be a clone, unless `readOnly` is set. */
  readonly disk: string;
  readonly format: ApplianceDisk['format'];
  /** Others of the same server, for arrays and volume groups that span several. */
  readonly moreDisks?: readonly ApplianceDisk[];
  readonly readOnly: boolean;
  /** Default 1536: a LUKS key takes up to 1024 MiB to check. What the guest does not touch costs nothing. */
  readonly memoryMiB?: number;
  /** Found out by a probe when it is not given. */
  readonly accelerator?: 'kvm' | 'tcg';
  readonly tools: HostTools;
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal;
}

export interface MountRequest {
  /** A path of the scan. */
  readonly device: string;
  /** Its content's type in the scan. */
  readonly type: string;
  /** Where in the guest; `/` comes first. */
  readonly at: string;
  /** Of btrfs; its default one when not given. */
  readonly subvolume?: string;
}

export interface Check {
  readonly isClean: boolean;
  readonly isMended: boolean;
  readonly detail: string;
}

const Mounted = z.object({ needsRecovery: z.boolean(), at: z.string().startsWith('/').max(8192) });
const Subvolumes = z.object({
  paths: z.array(z.string().max(4096)).max(4096),
  default: z.string().max(4096).nullable(),
});
const Checked = z.object({ isClean: z.boolean(), isMended: z.boolean(), detail: z.string().max(4000) });
const Opened = z.object({ path: z.string().regex(/^\/dev\/mapper\/watari-\d{1,4}$/) });
const Ran = z.object({ status: z.int(), stdout: z.string().max(65536), stderr: z.string().max(65536) });
const Nothing = z.object({});

const MEMORY_MIB = 1536;
const MEMORY_MIN_MIB = 256;
const START_TIMEOUT_MS = 120_000;
const SCAN_TIMEOUT_MS = 5 * 60_000;
const MOUNT_TIMEOUT_MS = 5 * 60_000;
const CHECK_TIMEOUT_MS = 60 * 60_000;
const CLOSE_TIMEOUT_MS = 3 * 60_000;
const POWER_OFF_TIMEOUT_MS = 20_000;

/** All appliances of this process: half of the machine's memory at most. */
const BUDGET = new MemoryBudget(Math.max(MEMORY_MIB, Math.floor(totalmem() / 2 ** 21)));
const accelerators = new WeakMap<HostTools, Promise<'kvm' | 'tcg'>>();

/**
 * A small Linux guest that opens what programs on plain files cannot: LVM, RAID, LUKS, XFS, btrfs. Disks are made
 * to mislead whoever mounts them, so it is the guest's kernel that does, without a network, and what it says is
 * checked. Errors: DiskUnusable for what is wrong with the disk, ApplianceError for the appliance itself.
 */
export class Appliance {
  readonly files: ApplianceFiles;
  private isClosing = false;

  private constructor(
    private readonly machine: Machine,
    private readonly peer: Peer,
    private readonly isReadOnly: boolean,
  ) {
    this.files = new ApplianceFiles(peer);
  }

  /** Rejects when it is not ready within two minutes. An abort ends it, at any time. */
  static async start(options: ApplianceOptions): Promise<Appliance> {
    const { tools, signal, memoryMiB = MEMORY_MIB } = options;
    const disks = [{ path: options.disk, format: options.format }, ...(options.moreDisks ?? [])];
    if (memoryMiB < MEMORY_MIN_MIB)
      throw new ApplianceError('APPLIANCE_OVER_BUDGET', `An appliance takes ${MEMORY_MIN_MIB} MiB at least.`);
    for (const disk of disks) await expectSafe(disk);
    const image = await ensureImage({ tools, onProgress: options.onProgress, signal });
    const accelerator = options.accelerator ?? (await acceleratorOf(tools));
    const giveBack = await BUDGET.take(memoryMiB, signal);
    let machine: Machine | undefined;
    try {
      signal?.throwIfAborted();
      machine = await Machine.start({
        image,
        disks,
        readOnly: options.readOnly,
        memoryMiB,
        accelerator,
        tools,
      });
      const peer = new Peer(machine);
      const onAbort = (): void => {
        peer.stop(signal?.reason instanceof Error ? signal.reason : new Error('Aborted.'));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      void machine.ended.then(() => {
        signal?.removeEventListener('abort', onAbort);
        giveBack();
      });
      if (signal?.aborted) onAbort();
      await peer.greeting(START_TIMEOUT_MS);
      return new Appliance(machine, peer, options.readOnly);
    } catch (error) {
      await machine?.kill();
      giveBack();
      throw error;
    }
  }

  /** The end of the console, for a report. */
  get consoleTail(): string {
    return this.machine.console.text();
  }

  /** Brings up RAID arrays and volume groups, and says what is there. To be called again after a key opened more. */
  async scan(): Promise<DiskScan> {
    return this.ask('The disk', { op: 'scan', schema: DiskScan, timeoutMs: SCAN_TIMEOUT_MS });
  }

  /**
   * Opens an encrypted device; gives the path of what is inside. The key goes over the channel alone. Rejects with
   * DISK_ENCRYPTED where it does not fit.
   */
  async openLuks(device: string, key: Buffer): Promise<string> {
    if (key.length === 0 || key.length > PAYLOAD_BYTES_MAX)
      throw new DiskUnusable(
        'DISK_ENCRYPTED',
        `${device} is encrypted, and the key has ${key.length} bytes. Give the passphrase that unlocks it on the server.`,
      );
    const request = { op: 'open-luks', args: { device }, payload: key, schema: Opened };
    return (await this.ask(device, { ...request, timeoutMs: MOUNT_TIMEOUT_MS })).path;
  }

  /** `needsRecovery`: read past a journal that could not be replayed, as the disk is open for reading alone. */
  async mount({
    device,
    type,
    at,
    subvolume,
  }: MountRequest): Promise<{ needsRecovery: boolean; at: string }> {
    if (type === LUKS_CONTENT || type === 'BitLocker')
      throw new DiskUnusable(
        'DISK_ENCRYPTED',
        `${device} is encrypted (${type === LUKS_CONTENT ? 'LUKS' : type}). Give its key, or unlock it on the server and copy the unlocked disk.`,
      );
    const args = {
      device,
      type,
      at,
      isReadOnly: this.isReadOnly,
      ...(subvolume !== undefined && { subvolume }),
    };
    return this.ask(at, { op: 'mount', args, schema: Mounted, timeoutMs: MOUNT_TIMEOUT_MS });
  }

  /** All of the guest's file systems; what was written is on the disk then. */
  async unmount(): Promise<void> {
    await this.ask('The disk', { op: 'unmount', schema: Nothing, timeoutMs: MOUNT_TIMEOUT_MS });
  }

  /** Of the btrfs that is the guest's root: their paths from its top, and the one that is mounted by default. */
  async subvolumes(): Promise<{ paths: string[]; default: string | null }> {
    return this.ask('The disk', { op: 'subvolumes', schema: Subvolumes });
  }

  /**
   * Looks whether an unmounted file system is whole. With `mend` its journal is replayed and what needs no decision
   * is mended first.
   */
  async check(device: string, type: string, { mend = false } = {}): Promise<Check> {
    const request = { op: 'check', args: { device, type, mend }, schema: Checked };
    return this.ask(device, { ...request, timeoutMs: CHECK_TIMEOUT_MS });
  }

  /** Runs a program of the appliance, never of the guest: for making disks to test with. */
  async run(argv: readonly string[], { stdin = '', timeoutMs = 60_000 } = {}): Promise<z.infer<typeof Ran>> {
    const request = { op: 'run', args: { argv, timeoutS: timeoutMs / 1000 }, payload: Buffer.from(stdin) };
    return this.ask(argv[0] ?? '', { ...request, schema: Ran, timeoutMs: timeoutMs + 10_000 });
  }

  /** Unmounts, takes everything down, and ends it. Rejects where what was written may not be on the disk. */
  async close(): Promise<void> {
    if (this.isClosing) {
      await this.machine.ended;
      return;
    }
    this.isClosing = true;
    try {
      await this.ask('The disk', { op: 'shut-down', schema: Nothing, timeoutMs: CLOSE_TIMEOUT_MS });
      // The agent answers when all is written; QEMU then writes out what it holds itself.
      await Promise.race([this.machine.ended, sleep(POWER_OFF_TIMEOUT_MS, undefined, { ref: false })]);
    } finally {
      await this.machine.kill();
    }
  }

  /** Ends it at once, whatever it does: for a disk that is thrown away. */
  async kill(): Promise<void> {
    this.isClosing = true;
    this.peer.stop(new ApplianceError('APPLIANCE_CLOSED', 'The appliance was closed.'));
    await this.machine.ended;
  }

  private async ask<Result>(subject: string, request: Request<Result>): Promise<Result> {
    try {
      return (await this.peer.request(request)).result;
    } catch (error) {
      throw diskError(error, subject);
    }
  }
}

/** An image must name no other file: QEMU would open it. */
async function expectSafe({ path, format }: ApplianceDisk): Promise<void> {
  const file = await openReadOnly(path);
  try {
    if (format === 'qcow2') await readDiskShape(file, format);
  } finally {
    await file.close();
  }
}

function acceleratorOf(tools: HostTools): Promise<'kvm' | 'tcg'> {
  const known = accelerators.get(tools);
  if (known) return known;
  const probed = probeAccelerator(tools).then(({ accelerator }) => accelerator);
  accelerators.set(tools, probed);
  // A probe that failed may work later.
  probed.catch(() => accelerators.delete(tools));
  return probed;
}
