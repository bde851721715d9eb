import { type HostAgentClient, type ProbeResult, parseProbe } from '@watari/host-agent-client';
import { type AgentWork, PhaseFailure } from '../ports';

/** Software emulation boots ten times slower than hardware does. */
const PATIENCE_MS = { kvm: 120_000, tcg: 420_000 } as const;
/** One question to the agent lasts so long at most, so that cancelling is noticed. */
const SLICE_MS = 5_000;
const CONSOLE_LINES = 12;
/** Colours and cursor moves, ECMA-48. Written by its number: a control character in a pattern is easily misread. */
const TERMINAL_SEQUENCES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, 'g');

/**
 * Waits until the guest's service answers the migration's probe. Rejects with `code` when it does not in time,
 * or at once when the guest is gone; the end of its console is part of the reason.
 */
export async function expectProbe(
  agent: HostAgentClient,
  guestId: string,
  { assignment, signal, progress }: AgentWork,
  failure: { readonly code: string; readonly what: string },
): Promise<{ afterMs: number; detail: string }> {
  const { accelerator } = await agent.health();
  const patienceMs = PATIENCE_MS[accelerator];
  const probe = parseProbe(assignment.probe);
  const began = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const waitedMs = performance.now() - began;
    progress(`${failure.what}: waiting for ${assignment.probe}, ${Math.round(waitedMs / 1000)} s`);
    const last: ProbeResult = await agent.probe(guestId, { probe, timeoutMs: SLICE_MS });
    const afterMs = Math.round(performance.now() - began);
    if (last.ok) return { afterMs, detail: last.detail.slice(0, 500) };
    const { state, reason, consoleTail } = await agent.getGuest(guestId);
    const isGone = state === 'failed' || state === 'stopped';
    if (isGone || afterMs > patienceMs) {
      const why = isGone ? `the guest is ${state}${reason ? ` (${reason})` : ''}` : last.detail;
      throw new PhaseFailure(
        failure.code,
        `${failure.what}: ${assignment.probe} did not answer within ${Math.round(afterMs / 1000)} s: ${why}. ` +
          `Its console ended with: ${lastLines(consoleTail)}`,
      );
    }
  }
}

function lastLines(consoleTail: string): string {
  const lines = consoleTail
    .replace(TERMINAL_SEQUENCES, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);
  return lines.slice(-CONSOLE_LINES).join(' | ').slice(-1000) || '(nothing)';
}
