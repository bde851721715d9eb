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

/** QEMU slows the guest only where the operator lets it, and then when it is told. */
const THROTTLE_CAPABILITY = 'auto-converge';
/** So much slowing that it is none. */
const THROTTLE_PERCENT_MIN = 1;

export async function setCapabilities(machine: Machine, { mayThrottle = false } = {}): Promise<void> {
  const isOn = (capability: string): boolean =>
    CAPABILITIES_ON.has(capability) || (mayThrottle && capability === THROTTLE_CAPABILITY);
  const known = await machine.ask(CapabilitiesReply, 'query-migrate-capabilities');
  await machine.execute('migrate-set-capabilities', {
    capabilities: known.map(({ capability }) => ({ capability, state: isOn(capability) })),
  });
}

/** For the time of copying. */
export async function setFloor(machine: Machine): Promise<void> {
  await machine.execute('migrate-set-parameters', {
    'downtime-limit': FLOOR_DOWNTIME_LIMIT_MS,
    'avail-switchover-bandwidth': FLOOR_BANDWIDTH,
    'max-bandwidth': BANDWIDTH_UNLIMITED,
    ...throttleOf(THROTTLE_PERCENT_MIN),
  });
}

/**
 * Keeps the guest from running for that share of its time. QEMU does so at its next passes (`migration/ram.c`,
 * `mig_throttle_guest_down`): from the initial share to the highest in one step, as soon as the guest writes anything
 * that is worth it. It ends with the migration.
 */
export async function setThrottle(machine: Machine, percent: number): Promise<void> {
  await machine.execute('migrate-set-parameters', throttleOf(Math.round(percent)));
}

function throttleOf(percent: number): Record<string, number | boolean> {
  return {
    'cpu-throttle-initial': percent,
    'cpu-throttle-increment': percent,
    'max-cpu-throttle': percent,
    'cpu-throttle-tailslow': false,
    'throttle-trigger-threshold': 1,
  };
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

export type LookedAt = Pick<
  PlannerSample,
  'rounds' | 'remainingBytes' | 'dirtyBytesPerSecond' | 'throttlePercent'
>;

/** Where QEMU's migration stands; null before it has begun to count. Throws QEMU_MIGRATION_FAILED. */
export async function lookAtMigration(machine: Machine): Promise<LookedAt | null> {
  const {
    status,
    ram,
    'cpu-throttle-percentage': throttled = 0,
    ...reply
  } = await machine.ask(MigrationReply, 'query-migrate');
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
    // Of the share that stands for none, too.
    throttlePercent: throttled > THROTTLE_PERCENT_MIN ? throttled : 0,
  };
}
