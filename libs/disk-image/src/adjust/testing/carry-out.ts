import { deepStrictEqual } from 'node:assert/strict';
import { EditableGuest } from '../../conversion/editable-guest';
import type { Change } from '../../conversion/manifest';
import { deviceNames } from '../../guest/device-names';
import type { IdentifiedPartition } from '../../guest/block-devices';
import type { AdjustContext, AdjustNic, AdjustStep, TargetMachine } from '../adjustment';
import { type StepOutcome, applyEdits, planAdjustments } from '../plan-adjustments';
import { readGuestSystem } from '../system/guest-system';
import { MemoryGuest, type MemoryFiles } from './memory-guest';

export const OLD_MAC = '52:54:00:00:00:01';
export const NEW_MAC = '02:00:00:00:00:02';
export const ROOT_UUID = 'aaaaaaaa-0000-4000-8000-000000000001';
export const SWAP_UUID = 'aaaaaaaa-0000-4000-8000-000000000002';
export const KEPT: readonly AdjustNic[] = [{ oldMac: OLD_MAC, newMac: OLD_MAC }];
export const MOVED: readonly AdjustNic[] = [{ oldMac: OLD_MAC, newMac: NEW_MAC }];

const partition = (
  number: number,
  content: IdentifiedPartition['content'],
  uuid?: string,
): IdentifiedPartition => ({
  partition: { number, startBytes: 0, sizeBytes: 1, type: '83', partUuid: `cafe0001-0${number}` },
  content,
  ...(uuid && { uuid }),
});

/** sda1 is an ext4 root, sda2 a swap area, sda3 something that has only its number in the table. */
const PARTITIONS = [
  partition(1, 'ext4', ROOT_UUID),
  partition(2, 'swap', SWAP_UUID),
  partition(3, 'unknown'),
];
export const DEVICES = deviceNames(PARTITIONS, new Set(['sda']));

/** The same on a disk whose table has no identifier. */
export const UNNAMED_DEVICES = deviceNames(
  PARTITIONS.map((one) => ({ ...one, partition: { ...one.partition, partUuid: '00000000-02' } })),
  new Set(['sda']),
);

export const TARGET: TargetMachine = {
  drivers: [
    { name: 'virtio_pci', isRequired: true, isLasting: true },
    { name: 'virtio_blk', isRequired: true, isLasting: true },
    { name: 'virtio_net', isRequired: false, isLasting: true },
  ],
  firstDisk: 'vda',
  consoles: ['ttyS0,115200', 'tty0'],
  agent: 'qemu',
  installsAgent: true,
  firmware: 'bios',
  clock: 'utc',
};

export interface CarriedOut {
  readonly outcomes: readonly StepOutcome[];
  /** All files afterwards, by path; as bytes, one letter each. */
  readonly files: Record<string, string>;
  /** What is different from before, by path. */
  readonly changed: Record<string, string>;
  readonly leftUndone: readonly string[];
}

/**
 * Carries steps out on a tree of files, and checks what holds for all of them: that a second run changes nothing, and
 * that taking the changes back gives the bytes that were there.
 */
export async function carryOut(
  tree: MemoryFiles,
  steps: readonly AdjustStep[],
  options: Partial<AdjustContext> = {},
): Promise<CarriedOut> {
  const memory = new MemoryGuest(tree);
  const before = memory.snapshot();
  const guest = new EditableGuest(memory);
  const outcomes = await runOn(memory, guest, steps, options);
  const files = memory.snapshot();

  const again = new EditableGuest(memory);
  const repeated = await runOn(memory, again, steps, options);
  const told = repeated.flatMap(({ edits }) => edits.map(({ path, reason }) => `${path}: ${reason}`));
  deepStrictEqual(told, [], 'a second run changes something');

  await takeBack(memory, guest.changes());
  deepStrictEqual(memory.snapshot(), before, 'taking the changes back gives other bytes');

  const changed = Object.entries(files).filter(([path, content]) => before[path] !== content);
  return {
    outcomes,
    files,
    changed: Object.fromEntries(changed),
    leftUndone: outcomes.flatMap(({ leftUndone }) =>
      leftUndone.map(({ subject, reason }) => `${subject}: ${reason}`),
    ),
  };
}

async function runOn(
  memory: MemoryGuest,
  guest: EditableGuest,
  steps: readonly AdjustStep[],
  options: Partial<AdjustContext>,
): Promise<StepOutcome[]> {
  const context: Omit<AdjustContext, 'edited' | 'created'> = {
    files: memory,
    system: await readGuestSystem(memory),
    devices: DEVICES,
    nics: KEPT,
    target: TARGET,
    ...options,
  };
  const outcomes = await planAdjustments(steps, context);
  for (const { edits } of outcomes) await applyEdits(edits, guest);
  return outcomes;
}

/** As a revert does with a disk that was not used in between. */
async function takeBack(memory: MemoryGuest, changes: readonly Change[]): Promise<void> {
  for (const change of [...changes].reverse()) {
    if (change.kind === 'created') await memory.remove(change.path);
    if (change.kind === 'directory-made') await memory.removeDirectory(change.path);
    if (change.kind === 'replaced')
      await memory.replace(change.path, Buffer.from(change.beforeBase64, 'base64'));
    if (change.kind === 'appended') {
      const content = (await memory.read(change.path, Infinity)) ?? Buffer.alloc(0);
      await memory.replace(change.path, content.subarray(0, change.originalBytes));
    }
  }
}
