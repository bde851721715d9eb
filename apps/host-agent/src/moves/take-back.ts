import { setTimeout as sleep } from 'node:timers/promises';

import { AgentError } from '../errors';
import type { Guest } from '../guests/guest';
import { MigrationReply } from '../qmp/replies';

const CANCEL_TIMEOUT_MS = 20_000;
const POLL_MS = 20;
/** QEMU is still at it. */
const UNDER_WAY: ReadonlySet<string> = new Set([
  'setup',
  'active',
  'pre-switchover',
  'device',
  'wait-unplug',
  'cancelling',
]);
/** Paused by a migration, and by nothing else. */
const PAUSED_BY_MIGRATION: ReadonlySet<string> = new Set([
  'paused',
  'postmigrate',
  'finish-migrate',
  'prelaunch',
]);

/**
 * Ends a migration that was not committed, and sees to it that the guest runs on here. Safe to repeat. Throws
 * when QEMU does not play along; the guest is paused then.
 */
export async function takeBack(guest: Guest): Promise<void> {
  if (!guest.hasMachine) {
    if (guest.ownership.state === 'handing-over') await guest.step({ type: 'taken-back' });
    await guest.end('failed', 'Its QEMU ended while the guest was being moved.');
    return;
  }
  const { machine } = guest;
  await machine.execute('migrate_cancel');
  const deadline = Date.now() + CANCEL_TIMEOUT_MS;
  for (;;) {
    const { status = 'none' } = await machine.ask(MigrationReply, 'query-migrate');
    if (!UNDER_WAY.has(status)) break;
    if (Date.now() > deadline)
      throw new AgentError('QEMU_MIGRATION_STUCK', `QEMU does not end its migration (it is ${status}).`);
    await sleep(POLL_MS);
  }
  if (guest.ownership.state === 'handing-over') await guest.step({ type: 'taken-back' });
  const runState = await machine.runState();
  if (PAUSED_BY_MIGRATION.has(runState)) await guest.resume();
}
