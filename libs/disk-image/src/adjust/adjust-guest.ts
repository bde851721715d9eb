import type { HostTools } from '@watari/host-tools';
import type { EditableGuest } from '../conversion/editable-guest';
import { adjustSteps } from './adjust-steps';
import type { AdjustContext } from './adjustment';
import { type StepOutcome, applyEdits, planAdjustments, summaryOf } from './plan-adjustments';
import { type GuestSystem, readGuestSystem } from './system/guest-system';

export interface AdjustGuestOptions extends Pick<
  AdjustContext,
  'devices' | 'nics' | 'target' | 'unitsOff' | 'isWritableName'
> {
  readonly guest: EditableGuest;
  readonly tools: HostTools;
  /** What is begun, and how much of the planning is done, from 0 to 1. */
  readonly onProgress?: (text: string, fraction: number) => void;
  readonly signal?: AbortSignal;
}

export interface AdjustedGuest {
  readonly system: GuestSystem;
  readonly outcomes: readonly StepOutcome[];
  /** For the manifest: steps that did something, or left something undone. */
  readonly steps: readonly { readonly name: string; readonly summary: string }[];
}

/**
 * Makes a guest on a clone fit for another machine; `guest.changes()` says how to undo it. All is planned before
 * anything is written. Rejects with DiskUnusable where it could not start afterwards.
 */
export async function adjustGuest(options: AdjustGuestOptions): Promise<AdjustedGuest> {
  const { guest, tools, signal, onProgress = () => undefined, ...rest } = options;
  const system = await readGuestSystem(guest.tree);
  const steps = adjustSteps(tools, signal);
  const outcomes = await planAdjustments(
    steps.map(({ step }) => step),
    { ...rest, files: guest.tree, system },
    {
      onStep: (index) => onProgress(steps[index]?.text ?? '', index / steps.length),
      ...(signal && { signal }),
    },
  );
  onProgress('writing the adjustments', 1);
  for (const { edits } of outcomes) {
    signal?.throwIfAborted();
    await applyEdits(edits, guest);
  }
  const summaries = outcomes.flatMap((outcome) => {
    const summary = summaryOf(outcome);
    return summary === undefined ? [] : [{ name: outcome.name, summary }];
  });
  return { system, outcomes, steps: summaries };
}
