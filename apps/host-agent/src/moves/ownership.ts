import { AddressSchema, IdSchema } from '@watari/host-agent-client';
import { z } from 'zod';

import { AgentError } from '../errors';

/*
 * Who may run a guest. Each agent keeps its own half on disk, written through before the next step is taken:
 *
 *   source                                        target
 *   owned                                         (nothing)
 *     │ switch-over begun                            │ announced
 *     ▼                                              ▼
 *   handing-over ── guest pauses, stream ends ──▶ incoming ────────────┐
 *     │        ▲                                     │ stream verified │ link lost, load failed,
 *     │        └ taken back ─▶ owned                 ▼                 │ source kept it
 *     │ committed   ◀──── "received" ───────────  received ────────────┤
 *     ▼                                              │                 ▼
 *   handed-over ───── "commit" ────────────────────▶ │             discarded
 *     │ confirmed   ◀──── "running" ──────────────── owned
 *     ▼
 *   moved-away
 *
 * Only `owned` may run. Up to `committed` the source alone decides and may take the guest back at any moment; from
 * there the target alone may run it. A side that does not know asks the other; while there is no answer, neither
 * starts. A source takes a guest back from `handed-over` only if the target swears that it never ran it.
 */

/** The other agent of a move, and how to ask it. */
export const PeerSchema = z.object({
  agentId: IdSchema,
  apiUrl: z.string().max(2_048),
  dataAddress: AddressSchema.optional(),
});
export type Peer = z.infer<typeof PeerSchema>;

const MoveRef = { moveId: IdSchema, peer: PeerSchema };

export const OwnershipSchema = z.discriminatedUnion('state', [
  z.object({
    state: z.literal('owned'),
    /** The move by which the guest came to this host; absent when it was started here. */
    cameBy: IdSchema.optional(),
    resumedAt: z.string().optional(),
  }),
  z.object({ state: z.literal('handing-over'), ...MoveRef }),
  z.object({ state: z.literal('handed-over'), ...MoveRef }),
  z.object({ state: z.literal('moved-away'), ...MoveRef }),
  z.object({ state: z.literal('incoming'), ...MoveRef }),
  z.object({ state: z.literal('received'), ...MoveRef }),
  z.object({ state: z.literal('discarded'), ...MoveRef }),
]);
export type Ownership = z.infer<typeof OwnershipSchema>;

export type OwnershipEvent =
  | { type: 'switch-over-begun'; moveId: string; peer: Peer }
  | { type: 'taken-back' }
  | { type: 'committed' }
  | { type: 'confirmed' }
  | { type: 'refused-by-target' }
  | { type: 'stream-verified' }
  | { type: 'commit-received'; resumedAt?: string }
  | { type: 'discarded' };

/** The next state. Throws OWNERSHIP_BROKEN on a step that the diagram does not have: that is a bug, and stops it. */
export function evolve(ownership: Ownership, event: OwnershipEvent): Ownership {
  const { state } = ownership;
  switch (event.type) {
    case 'switch-over-begun':
      if (state === 'owned') return { state: 'handing-over', moveId: event.moveId, peer: event.peer };
      break;
    case 'taken-back':
      if (state === 'handing-over') return { state: 'owned' };
      break;
    case 'committed':
      if (state === 'handing-over') return { ...ownership, state: 'handed-over' };
      break;
    case 'confirmed':
      if (state === 'handed-over') return { ...ownership, state: 'moved-away' };
      break;
    case 'refused-by-target':
      if (state === 'handed-over') return { state: 'owned' };
      break;
    case 'stream-verified':
      if (state === 'incoming') return { ...ownership, state: 'received' };
      break;
    case 'commit-received':
      // "incoming" too: the source commits only what was verified, and the note of that may have been lost with the agent.
      if (state === 'incoming' || state === 'received')
        return {
          state: 'owned',
          cameBy: ownership.moveId,
          ...(event.resumedAt !== undefined && { resumedAt: event.resumedAt }),
        };
      break;
    case 'discarded':
      if (state === 'incoming' || state === 'received') return { ...ownership, state: 'discarded' };
      break;
  }
  throw new AgentError('OWNERSHIP_BROKEN', `A guest that is ${state} cannot take the step "${event.type}".`);
}

/** True when this agent may let the guest run. */
export function mayRun(ownership: Ownership): boolean {
  return ownership.state === 'owned';
}

/** What an agent does with a guest whose record it finds at its start. */
export function stepAfterRestart(
  ownership: Ownership,
): 'run' | 'take-back' | 'ask-target' | 'ask-source' | 'none' {
  switch (ownership.state) {
    case 'owned':
      return 'run';
    case 'handing-over':
      // Not committed, so the target has no leave to run it and never gets it.
      return 'take-back';
    case 'handed-over':
      return 'ask-target';
    case 'incoming':
    case 'received':
      return 'ask-source';
    case 'moved-away':
    case 'discarded':
      return 'none';
  }
}

export type Standing = 'kept' | 'handed-over' | 'undecided' | 'owned' | 'waiting' | 'discarded';

/** What this agent answers to the other one about the move, or null when the guest is not in that move. */
export function standingOf(ownership: Ownership, moveId: string): Standing | null {
  if (ownership.state === 'owned') return ownership.cameBy === moveId ? 'owned' : null;
  if (ownership.moveId !== moveId) return null;
  switch (ownership.state) {
    case 'handing-over':
      return 'undecided';
    case 'handed-over':
    case 'moved-away':
      return 'handed-over';
    case 'incoming':
    case 'received':
      return 'waiting';
    case 'discarded':
      return 'discarded';
  }
}

/** A target's next step after the source's answer. Everything unclear is a reason to wait, never to run. */
export function stepOfTarget(answer: Standing): 'run' | 'discard' | 'wait' {
  if (answer === 'handed-over') return 'run';
  return answer === 'kept' ? 'discard' : 'wait';
}

/** A source's next step after it committed and the target answered. */
export function stepOfSource(answer: Standing): 'confirm' | 'take-back' | 'wait' {
  if (answer === 'owned') return 'confirm';
  return answer === 'discarded' ? 'take-back' : 'wait';
}
