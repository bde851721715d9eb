import type { Machine } from '../guests/machine';
import { AgentError } from '../errors';
import { CapabilitiesReply, MigrationReply } from '../qmp/replies';
import type { PlannerSample } from '@watari/migration-core';

/**
 * Set on both sides, every one by name: QEMU keeps capabilities from one migration to the next, and a guest that
 * came here goes back with what it came with.
 *
 * - events: QEMU says when a migration changes state
 * - return-path, switchover-ack: the target agrees before the guest is paused; we hold that agreement back
 * - late-block-activate: the target takes the disks when it lets the guest run, not when it has loaded it
 */
const CAPABILITIES_ON: ReadonlySet<string> = new Set([
  'events',
  'return-path',
  'switchover-ack',
  'late-block-activate',
]);

/** Unlimited, in effect; 0 means other things in other versions. */
export const BANDWIDTH_UNLIMITED = 1e12;

/** With 1 ms and a low bandwidth in its estimate, QEMU copies until next to nothing is left. */
const FLOOR_DOWNTIME_LIMIT_MS = 1;
const FLOOR_BANDWIDTH = 4 * 1024 * 1024;

export async function setCapabilities(machine: Machine): Promise<void> {
  const known = await machine.ask(CapabilitiesReply, 'query-migrate-capabilities');
  await machine.execute('migrate-set-capabilities', {
    capabilities: known.map(({ capability }) => ({ capability, state: CAPABILITIES_ON.has(capability) })),
  });
}

/** For the time of copying. */
export async function setFloor(machine: Machine): Promise<void> {
  await machine.execute('migrate-set-parameters', {
    'downtime-limit': FLOOR_DOWNTIME_LIMIT_MS,
    'avail-switchover-bandwidth': FLOOR_BANDWIDTH,
    'max-bandwidth': BANDWIDTH_UNLIMITED,
  });
}

/** For the switch-over: QEMU pauses the guest once the rest fits into the limit at the measured bandwidth. */
export async function setSwitchOver(
  machine: Machine,
  settings: { downtimeLimitMs: number; measuredBytesPerSecond: number; bandwidthBytesPerSecond: number },
): Promise<void> {
  await machine.execute('migrate-set-parameters', {
    'downtime-limit': Math.max(1, Math.round(settings.downtimeLimitMs)),
    'avail-switchover-bandwidth': Math.max(1, Math.round(settings.measuredBytesPerSecond)),
    'max-bandwidth': Math.round(settings.bandwidthBytesPerSecond),
  });
}

export async function setBandwidth(machine: Machine, bytesPerSecond: number): Promise<void> {
  await machine.execute('migrate-set-parameters', { 'max-bandwidth': Math.round(bytesPerSecond) });
}

/** Where QEMU's migration stands; null before it has begun to count. Throws QEMU_MIGRATION_FAILED. */
export async function lookAtMigration(
  machine: Machine,
): Promise<Pick<PlannerSample, 'rounds' | 'remainingBytes' | 'dirtyBytesPerSecond'> | null> {
  const { status, ram, ...reply } = await machine.ask(MigrationReply, 'query-migrate');
  if (status === 'failed' || status === 'cancelled')
    throw new AgentError(
      'QEMU_MIGRATION_FAILED',
      `QEMU gave the migration up: ${reply['error-desc'] ?? status}.`,
    );
  if (!ram) return null;
  return {
    rounds: ram['dirty-sync-count'],
    remainingBytes: ram.remaining,
    dirtyBytesPerSecond: ram['dirty-pages-rate'] * ram['page-size'],
  };
}
