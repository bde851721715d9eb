import type { ServerFacts } from '@watari/contracts-inventory';
import type { HostFacts } from './domain/host';

/** Looks at a server's disk. Read-only; rejects with an error whose `code` says why it cannot be used. */
export interface DiskInspector {
  inspect(path: string, format: 'raw' | 'qcow2' | undefined, now: Date): Promise<ServerFacts>;
}

/** Asks the agent behind an address what its host is. Rejects with a coded error when it does not answer. */
export interface AgentDirectory {
  describe(agentUrl: string): Promise<HostFacts & { readonly hostId: string }>;
}

export const DISK_INSPECTOR = Symbol('DiskInspector');
export const AGENT_DIRECTORY = Symbol('AgentDirectory');
