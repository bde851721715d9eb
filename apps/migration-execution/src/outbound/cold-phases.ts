import { type GuestSpec, type HostAgentClient, parseProbe } from '@watari/host-agent-client';
import { z } from 'zod';
import type { Place } from '../domain/placement';
import {
  type AgentPhase,
  type AgentWork,
  type HostAgents,
  PhaseFailure,
  type ServerDirectory,
} from '../ports';
import { expectProbe } from './guest-probe';

/** Records that the server runs there now. */
export type RecordPlace = (work: AgentWork, place: Place) => Promise<void>;

const Converted = z.object({
  disk: z.object({ path: z.string(), format: z.enum(['raw', 'qcow2']) }),
  mac: z.string(),
});
type Converted = z.infer<typeof Converted>;

export function proofGuestIdOf(serverId: string): string {
  return `${serverId}-proof`;
}

/** Boots the converted disk cut off from every network, on a throw-away overlay, and asks its service. */
export function bootProof(agents: HostAgents, servers: ServerDirectory): AgentPhase {
  return async (work) => {
    const { serverId, targetHostId } = work.assignment;
    const guestId = proofGuestIdOf(serverId);
    const spec = await guestSpec(work, servers, { guestId, isProof: true });
    const agent = await agents.open(targetHostId);
    try {
      // One that is left over from an attempt that died would answer in place of this one.
      await agent.deleteGuest(guestId);
      await agent.putGuest(spec);
      return await expectProbe(agent, guestId, work, { code: 'BOOT_PROOF_FAILED', what: 'boot proof' });
    } finally {
      await agent.deleteGuest(guestId).finally(() => agent.close());
    }
  };
}

export function stopProof(agents: HostAgents): AgentPhase {
  return async ({ assignment }) => {
    const agent = await agents.open(assignment.targetHostId);
    try {
      await agent.deleteGuest(proofGuestIdOf(assignment.serverId));
      return {};
    } finally {
      agent.close();
    }
  };
}

/** Starts the converted guest for real: from here on it takes writes of its own. */
export function startTarget(
  agents: HostAgents,
  servers: ServerDirectory,
  recordPlace: RecordPlace,
): AgentPhase {
  return async (work) => {
    const { serverId, targetHostId } = work.assignment;
    const { disk, mac } = convertedOf(work);
    const spec = await guestSpec(work, servers, { guestId: serverId, isProof: false });
    const agent = await agents.open(targetHostId);
    try {
      await forgetEarlierGuest(agent, serverId);
      work.progress('starting the guest on its host');
      const status = await agent.putGuest(spec).catch(async (error: unknown) => {
        throw await withWhetherItRan(error, agent, serverId);
      });
      await recordPlace(work, { hostId: targetHostId, disk, mac });
      return { hostId: targetHostId, forwards: status.forwards };
    } finally {
      agent.close();
    }
  };
}

/** Forgets a guest of this id that runs no more, so that its old spec does not stand in the way. */
export async function forgetEarlierGuest(agent: HostAgentClient, guestId: string): Promise<void> {
  const known = (await agent.listGuests()).find((guest) => guest.guestId === guestId);
  if (known && ['stopped', 'failed', 'moved-away'].includes(known.state)) await agent.deleteGuest(guestId);
}

/** Refused before it existed, a guest took no write: then the migration may still go back. */
async function withWhetherItRan(error: unknown, agent: HostAgentClient, guestId: string): Promise<unknown> {
  const { code, canRetry } = error as { code?: unknown; canRetry?: unknown };
  if (!(error instanceof Error) || typeof code !== 'string' || canRetry === true) return error;
  const guests = await agent.listGuests().catch(() => undefined);
  if (!guests || guests.some((guest) => guest.guestId === guestId)) return error;
  return new PhaseFailure(code, error.message, { targetNeverRan: true });
}

function convertedOf(work: AgentWork): Converted {
  return Converted.parse(work.results['convert-guest']);
}

async function guestSpec(
  work: AgentWork,
  servers: ServerDirectory,
  { guestId, isProof }: { guestId: string; isProof: boolean },
): Promise<GuestSpec> {
  const { memoryMiB, vcpus } = await servers.expectServer(work.assignment.serverId);
  const { disk, mac } = convertedOf(work);
  const probe = parseProbe(work.assignment.probe);
  return {
    guestId,
    memoryMiB,
    vcpus,
    machine: 'q35',
    disks: [{ ...disk, bus: 'virtio-blk', ...(isProof && { snapshot: true }) }],
    nics: [
      {
        model: 'virtio-net',
        mac,
        isolated: isProof,
        forwards: probe.kind === 'console' ? [] : [{ guestPort: probe.port }],
      },
    ],
  };
}
