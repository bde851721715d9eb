import { type TlsMaterial, createHostAgentClient } from '@watari/host-agent-client';
import type { InventoryMirror } from '@watari/inventory-mirror';
import type { HostAgents } from '../ports';

/** Finds agents by what inventory told, and accepts no certificate but that of the agent it looks for. */
export function createHostAgents(mirror: InventoryMirror, tls: () => Promise<TlsMaterial>): HostAgents {
  return {
    open: async (hostId) => {
      const { agentUrl } = await mirror.expectHost(hostId);
      return createHostAgentClient({ apiUrl: agentUrl, tls: await tls(), agentId: hostId });
    },
  };
}
