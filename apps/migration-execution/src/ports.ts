import type { Assignment } from '@watari/contracts-migration-execution';
import type { HostAgentClient } from '@watari/host-agent-client';

/** Reaches the agent of a registered host. The caller closes the client. */
export interface HostAgents {
  open(hostId: string): Promise<HostAgentClient>;
}

export const HOST_AGENTS = Symbol('HostAgents');

/** What a guest is to be like, as inventory knows the server. */
export interface ServerDirectory {
  expectServer(serverId: string): Promise<{ readonly memoryMiB: number; readonly vcpus: number }>;
}

/** One phase or undo step that is done through host agents. */
export interface AgentWork {
  readonly migrationId: string;
  readonly attempt: number;
  readonly assignment: Assignment;
  /** What earlier phases reported, by phase. */
  readonly results: Readonly<Record<string, Record<string, unknown>>>;
  /** Aborted when the work is cancelled or the service stops: leave things as they are and reject. */
  readonly signal: AbortSignal;
  progress(text: string, fraction?: number): void;
}

/**
 * Does the work; what it resolves with is kept with the phase. May be called again after the process died
 * half-way. Rejects with PhaseFailure or HostAgentError when the attempt failed.
 */
export type AgentPhase = (work: AgentWork) => Promise<Record<string, unknown>>;

/** The attempt failed, and why, in a form that goes into the migration's history. */
export class PhaseFailure extends Error {
  readonly canRetry: boolean;
  /** Known for sure: the target took no write, so going back loses nothing. */
  readonly targetNeverRan: boolean;

  constructor(
    readonly code: string,
    message: string,
    more: { canRetry?: boolean; targetNeverRan?: boolean } = {},
  ) {
    super(message);
    this.name = 'PhaseFailure';
    this.canRetry = more.canRetry ?? false;
    this.targetNeverRan = more.targetNeverRan ?? false;
  }
}
