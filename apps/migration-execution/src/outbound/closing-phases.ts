import type { AgentPhase, HostAgents } from '../ports';
import { expectProbe } from './guest-probe';

/** The service answers at its new place. */
export function verify(agents: HostAgents): AgentPhase {
  return async (work) => {
    const { serverId, targetHostId } = work.assignment;
    const agent = await agents.open(targetHostId);
    try {
      return await expectProbe(agent, serverId, work, { code: 'VERIFY_FAILED', what: 'verifying' });
    } finally {
      agent.close();
    }
  };
}

/** Lets the host that the guest left forget it. */
export function finish(agents: HostAgents): AgentPhase {
  return async ({ assignment }) => {
    const { hostId } = assignment.source;
    if (assignment.kind === 'live' && hostId !== undefined) {
      const source = await agents.open(hostId);
      try {
        const left = (await source.listGuests()).find(({ guestId }) => guestId === assignment.serverId);
        if (left?.state === 'moved-away') await source.deleteGuest(assignment.serverId);
      } finally {
        source.close();
      }
    }
    return { hostId: assignment.targetHostId };
  };
}
