import { defineAggregate, never } from '@watari/event-sourcing';

export interface HostFacts {
  readonly agentUrl: string;
  readonly data: { readonly host: string; readonly port: number };
  readonly platform: 'kvm';
  readonly hypervisorVersion: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly cpuSockets: number;
  readonly cpuCores: number;
  readonly memoryMiB: number;
}

export interface RegisterHost {
  readonly type: 'RegisterHost';
  readonly data: HostFacts & { readonly at: string };
}

export type HostCommand = RegisterHost;

/** Recorded again whenever the agent's answer differs: a restarted agent listens on other ports. */
export interface HostRegistered {
  readonly type: 'HostRegistered';
  readonly data: RegisterHost['data'];
}

export type HostEvent = HostRegistered;
export type Host = { readonly status: 'unknown' } | ({ readonly status: 'registered' } & HostFacts);

export const host = defineAggregate<Host, HostCommand, HostEvent>({
  name: 'host',
  initialState: { status: 'unknown' },
  events: { HostRegistered: { version: 1 } },
  decide: (command, state) => {
    switch (command.type) {
      case 'RegisterHost':
        return state.status === 'registered' && sameHost(state, command.data)
          ? []
          : [{ type: 'HostRegistered', data: command.data }];
      default:
        return never(command.type);
    }
  },
  evolve: (_state, event) => {
    switch (event.type) {
      case 'HostRegistered': {
        const { at: _at, ...facts } = event.data;
        return { status: 'registered', ...facts };
      }
      default:
        return never(event.type);
    }
  },
});

function sameHost(a: HostFacts, b: HostFacts): boolean {
  return (
    a.agentUrl === b.agentUrl &&
    a.data.host === b.data.host &&
    a.data.port === b.data.port &&
    a.platform === b.platform &&
    a.hypervisorVersion === b.hypervisorVersion &&
    a.accelerator === b.accelerator &&
    a.cpuSockets === b.cpuSockets &&
    a.cpuCores === b.cpuCores &&
    a.memoryMiB === b.memoryMiB
  );
}
