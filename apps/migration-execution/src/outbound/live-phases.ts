import { randomUUID } from 'node:crypto';
import type { HostAgentClient, MoveStatus } from '@watari/host-agent-client';
import { z } from 'zod';
import { type AgentPhase, type AgentWork, type HostAgents, PhaseFailure } from '../ports';
import { type RecordPlace, forgetEarlierGuest } from './cold-phases';

const POLL_MS = 250;
const DOWNTIME_LIMIT_MS = 300;
/** A move that has not come near its end in this time is given up; the guest runs on where it is. */
const PRE_COPY_MS_MAX = 4 * 3_600_000;
const SWITCH_OVER_MS_MAX = 300_000;
const MIB = 1024 * 1024;

export function moveIdOf(migrationId: string, attempt: number): string {
  return `${migrationId}-${attempt}`;
}

/** Both hosts must see the same disk file: a marker that one agent places is looked for by the other. */
export function prepareTarget(agents: HostAgents): AgentPhase {
  return async (work) => {
    const { assignment, progress } = work;
    const sourceHostId = sourceHostOf(work);
    const [source, target] = await Promise.all([
      agents.open(sourceHostId),
      agents.open(assignment.targetHostId),
    ]);
    const diskPath = assignment.source.disk.path;
    const nonce = randomUUID();
    try {
      progress('asking both agents');
      const [sourceHealth, targetHealth] = await Promise.all([source.health(), target.health()]);
      if (sourceHealth.accelerator !== targetHealth.accelerator)
        throw new PhaseFailure(
          'ACCELERATORS_DIFFER',
          `${sourceHostId} runs guests by ${sourceHealth.accelerator}, ${assignment.targetHostId} by ` +
            `${targetHealth.accelerator}: a running guest cannot pass between them. Move it cold.`,
        );
      await forgetEarlierGuest(target, assignment.serverId);
      progress('looking for the same disk from both hosts');
      const placed = await source.checkStorage({ diskPath, nonce, action: 'place' });
      const seen = await target.checkStorage({ diskPath, nonce, action: 'look' });
      const isOtherFile =
        placed.bootId === seen.bootId &&
        (placed.file?.device !== seen.file?.device || placed.file?.inode !== seen.file?.inode);
      if (!seen.found || !seen.file || isOtherFile)
        throw new PhaseFailure(
          'STORAGE_NOT_SHARED',
          `${assignment.targetHostId} does not see the disk ${diskPath} that ${sourceHostId} uses. ` +
            'Put it on storage that both hosts mount at the same path.',
        );
      return { sharedStorage: true, targetQemuVersion: targetHealth.qemuVersion };
    } finally {
      await source.checkStorage({ diskPath, nonce, action: 'remove' }).finally(() => {
        source.close();
        target.close();
      });
    }
  };
}

/** Copies the running guest's memory until little is left, and holds it there. */
export function preCopy(agents: HostAgents): AgentPhase {
  return async (work) => {
    const { assignment, migrationId, attempt } = work;
    const source = await agents.open(sourceHostOf(work));
    const target = await agents.open(assignment.targetHostId);
    try {
      const { dataAddress, agentId } = await target.health();
      const moveId = moveIdOf(migrationId, attempt);
      await source.startMove({
        moveId,
        guestId: assignment.serverId,
        target: { apiUrl: target.apiUrl, dataAddress, agentId },
        downtimeLimitMs: assignment.downtimeLimitMs ?? DOWNTIME_LIMIT_MS,
        bandwidthBytesPerSecondMax: assignment.bandwidthBytesPerSecondMax,
        throttlePercentMax: assignment.throttlePercentMax,
      });
      const ready = await follow(
        source,
        moveId,
        work,
        ({ state }) => state === 'ready-to-switch',
        PRE_COPY_MS_MAX,
      );
      const { rounds, guestBytes, wireBytes } = ready;
      return { moveId, rounds, guestBytes, wireBytes };
    } finally {
      source.close();
      target.close();
    }
  };
}

/** Pause, last round and hand-over: one call to the agent, which then goes through on its own. */
export function switchOver(agents: HostAgents, recordPlace: RecordPlace): AgentPhase {
  return async (work) => {
    const { assignment, results } = work;
    const { moveId } = z.object({ moveId: z.string() }).parse(results['pre-copy']);
    const source = await agents.open(sourceHostOf(work));
    try {
      // After a restart of this service the move may already be under way, or over.
      const { state } = await source.getMove(moveId);
      if (state === 'ready-to-switch' || state === 'pre-copy') await letItSwitch(source, moveId, work);
      const done = await follow(
        source,
        moveId,
        work,
        (status) => status.state === 'completed',
        SWITCH_OVER_MS_MAX,
      );
      const { disk, mac = '' } = assignment.source;
      await recordPlace(work, { hostId: assignment.targetHostId, disk, mac });
      const { rounds, guestBytes, wireBytes, pages, zeroPages, totalMs, downtimeMs, downtimeUncertaintyMs } =
        done;
      const { samePages = 0, deltaPages = 0, copiedPages = 0 } = done;
      return {
        hostId: assignment.targetHostId,
        moveId,
        rounds,
        guestBytes,
        wireBytes,
        pages,
        zeroPages,
        samePages,
        deltaPages,
        copiedPages,
        totalMs,
        downtimeMs: downtimeMs ?? null,
        downtimeUncertaintyMs: downtimeUncertaintyMs ?? null,
        streamSha256: done.streamSha256 ?? null,
        forwards: done.forwards ?? [],
      };
    } finally {
      source.close();
    }
  };
}

/** Asks until the agent takes it: a busy guest can fall back from ready to copying for a moment. */
async function letItSwitch(source: HostAgentClient, moveId: string, { signal }: AgentWork): Promise<void> {
  const began = performance.now();
  for (;;) {
    signal.throwIfAborted();
    try {
      await source.switchOver(moveId);
      return;
    } catch (error) {
      const isEarly = (error as { code?: unknown }).code === 'MOVE_NOT_READY';
      if (!isEarly || performance.now() - began > SWITCH_OVER_MS_MAX) throw error;
      await pause(POLL_MS);
    }
  }
}

export function cancelMove(agents: HostAgents): AgentPhase {
  return async (work) => {
    const source = await agents.open(sourceHostOf(work));
    try {
      for (let attempt = 1; attempt <= Math.max(work.attempt, ATTEMPTS_LOOKED_AT); attempt += 1) {
        await source.cancelMove(moveIdOf(work.migrationId, attempt)).catch((error: unknown) => {
          const { code } = error as { code?: unknown };
          // It was never begun, or ended by itself: then there is nothing to cancel.
          if (code !== 'MOVE_UNKNOWN' && code !== 'MOVE_OVER') throw error;
        });
      }
      return {};
    } finally {
      source.close();
    }
  };
}
/** A phase is tried three times by itself, and again when a person says so. */
const ATTEMPTS_LOOKED_AT = 6;

async function follow(
  source: HostAgentClient,
  moveId: string,
  { assignment, signal, progress }: AgentWork,
  isThere: (status: MoveStatus) => boolean,
  patienceMs: number,
): Promise<MoveStatus> {
  const began = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const status = await source.getMove(moveId);
    if (isThere(status)) return status;
    if (status.state === 'failed' || status.state === 'cancelled') {
      const guest = await source.getGuest(assignment.serverId);
      throw new PhaseFailure(
        status.code ?? 'MOVE_FAILED',
        `The move ${status.state === 'failed' ? 'failed' : 'was cancelled'}: ${status.reason ?? 'no reason was given'}. ` +
          `On ${assignment.source.hostId} the guest is ${guest.state}.`,
        // Running at its source again, it cannot have run on the target.
        { targetNeverRan: guest.state === 'running' },
      );
    }
    if (performance.now() - began > patienceMs)
      throw new PhaseFailure(
        'MOVE_TOO_SLOW',
        `The move is still ${status.state} after ${patienceMs / 1000} s.`,
      );
    progress(...inWords(status));
    await pause(POLL_MS);
  }
}

function inWords(status: MoveStatus): [string, number?] {
  const { state, rounds, guestBytes, wireBytes, remainingBytes, decision } = status;
  const left = remainingBytes === undefined ? '' : `, ${Math.round(remainingBytes / MIB)} MiB left`;
  const text = `${state}, round ${rounds}: ${Math.round(guestBytes / MIB)} MiB read, ${Math.round(wireBytes / MIB)} MiB sent${left}${decision ? `; ${decision}` : ''}`;
  const whole = guestBytes + (remainingBytes ?? 0);
  return remainingBytes === undefined || whole === 0 ? [text] : [text, guestBytes / whole];
}

function sourceHostOf({ assignment }: AgentWork): string {
  const { hostId } = assignment.source;
  if (hostId === undefined) throw new Error('A live migration names the host that it leaves.');
  return hostId;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
