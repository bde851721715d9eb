import { type TlsMaterial, createHostAgentClient } from '@watari/host-agent-client';
import type { AgentDirectory } from '../ports';

/** Asks agents over HTTPS, as the control plane. */
export function createAgentDirectory(tls: () => Promise<TlsMaterial>): AgentDirectory {
  return {
    describe: async (agentUrl) => {
      const client = createHostAgentClient({ apiUrl: agentUrl, tls: await tls() });
      try {
        const health = await client.health();
        return {
          hostId: health.agentId,
          agentUrl,
          data: health.dataAddress,
          platform: 'kvm',
          hypervisorVersion: health.qemuVersion,
          accelerator: health.accelerator,
          cpuSockets: health.host.cpuSockets,
          cpuCores: health.host.cpuCores,
          memoryMiB: health.host.memoryMiB,
        };
      } finally {
        client.close();
      }
    },
  };
}
