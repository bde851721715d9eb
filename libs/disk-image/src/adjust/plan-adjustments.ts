import { DiskUnusable } from '../errors';
import { TEXT_BYTES_MAX } from '../guest/guest-tree';
import { INITRAMFS_BYTES_MAX } from '../guest/kernels';
import type { AdjustContext, AdjustStep, FileEdit, LeftUndone } from './adjustment';
import { EditedFiles } from './edited-files';

export interface StepOutcome {
  readonly name: string;
  readonly edits: readonly FileEdit[];
  readonly leftUndone: readonly LeftUndone[];
}

/** What carries edits out; `EditableGuest`, which remembers what was there before, is one. */
export interface EditSink {
  write(path: string, content: Buffer): Promise<boolean>;
  append(path: string, content: Buffer): Promise<void>;
}

export interface PlanOptions {
  readonly signal?: AbortSignal;
  /** Which step is begun. */
  readonly onStep?: (index: number) => void;
}

/**
 * Plans all steps, each on the guest as the ones before it leave it. Changes nothing. A step that finds a file
 * which it cannot make sense of leaves that to a person; rejects where the guest could not start afterwards.
 */
export async function planAdjustments(
  steps: readonly AdjustStep[],
  context: Omit<AdjustContext, 'edited' | 'created'>,
  { signal, onStep }: PlanOptions = {},
): Promise<StepOutcome[]> {
  const files = new EditedFiles(context.files, context.isWritableName);
  const outcomes: StepOutcome[] = [];
  for (const [index, step] of steps.entries()) {
    signal?.throwIfAborted();
    onStep?.(index);
    const { edits, leftUndone } = await step.plan({
      ...context,
      files,
      edited: new Map(files.edited),
      created: new Set(files.created),
    });
    for (const edit of edits)
      await files.put(edit, edit.kind === 'append' ? INITRAMFS_BYTES_MAX : TEXT_BYTES_MAX);
    outcomes.push({ name: step.name, edits, leftUndone });
  }
  return outcomes;
}

/** Carries a step's edits out, in their order; how many changed something. */
export async function applyEdits(edits: readonly FileEdit[], sink: EditSink): Promise<number> {
  let count = 0;
  for (const { path, kind, content } of edits) {
    if (!path.startsWith('/') || path.includes('\0'))
      throw new DiskUnusable(
        'DISK_FILE_UNSUPPORTED',
        `${JSON.stringify(path)} is no path of a file to change.`,
      );
    if (kind === 'append') await sink.append(path, content);
    if (kind === 'append' || (await sink.write(path, content))) count += 1;
  }
  return count;
}

const SUMMARY_LETTERS_MAX = 2000;
/** What was not done is for a person to read: it keeps its room. */
const DONE_LETTERS_MAX = 1200;

/** What a step did and did not, as one text for the manifest; undefined where there was nothing. */
export function summaryOf({
  edits,
  leftUndone,
}: Pick<StepOutcome, 'edits' | 'leftUndone'>): string | undefined {
  const pathsOf = new Map<string, string[]>();
  for (const { path, reason } of edits) pathsOf.set(reason, [...(pathsOf.get(reason) ?? []), path]);
  const done = [...pathsOf].map(([reason, paths]) => `${paths.join(', ')}: ${reason}`).join('; ');
  const undone = leftUndone.map(({ subject, reason }) => `Not done: ${subject}: ${reason}`);
  const text = [done.slice(0, DONE_LETTERS_MAX), ...undone].filter((part) => part !== '').join(' ');
  return text === '' ? undefined : text.slice(0, SUMMARY_LETTERS_MAX);
}
