import type { MoveStatus } from '@watari/host-agent-client';

import type { Guest } from '../guests/guest';
import { stopBegan, withDowntime } from './downtime';
import type { SourceRecord } from './move-record';
import { stepOfSource, stepOfTarget } from './ownership';
import type { Settlement } from './settlement';
import { takeBack } from './take-back';
import { runReceived } from './target-move';

/** For a source that committed and did not hear how it ended: asks the target, then ends or takes back the guest. */
export function settleWithTarget(
  settlement: Settlement,
  guest: Guest,
  record: SourceRecord,
  finish: (change: Partial<MoveStatus>) => Promise<void>,
): void {
  const { ownership } = guest;
  if (ownership.state !== 'handed-over') return;
  settlement.ask(guest, ownership.moveId, ownership.peer, async (answer) => {
    const step = stepOfSource(answer.standing);
    if (step === 'wait') return false;
    if (step === 'confirm') {
      await guest.step({ type: 'confirmed' });
      await guest.endMachine();
      const { forwards, resumedAt } = answer;
      const timed = withDowntime(record, { stopAt: stopBegan(guest.eventLog.all), resumedAt });
      await finish({ ...timed, state: 'completed', remainingBytes: 0, forwards, reason: undefined });
      return true;
    }
    await guest.step({ type: 'refused-by-target' });
    await takeBack(guest);
    await finish({
      state: 'failed',
      code: 'TARGET_REFUSED',
      reason: 'The target did not run the guest after all; it runs on the source.',
    });
    return true;
  });
}

/** For a target that holds a guest and has no commit: asks the source, then runs or discards it. */
export function settleWithSource(
  settlement: Settlement,
  guest: Guest,
  discard: (guest: Guest) => Promise<void>,
): void {
  const { ownership } = guest;
  if (ownership.state !== 'incoming' && ownership.state !== 'received') return;
  settlement.ask(guest, ownership.moveId, ownership.peer, async (answer) => {
    const step = stepOfTarget(answer.standing);
    if (step === 'wait') return false;
    if (step === 'discard') await discard(guest);
    else await runReceived(guest, discard);
    return true;
  });
}
