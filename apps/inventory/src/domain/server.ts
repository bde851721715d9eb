import type { ServerFacts } from '@watari/contracts-inventory';
import { Rejected, defineAggregate, never } from '@watari/event-sourcing';

export interface RegisterServer {
  readonly type: 'RegisterServer';
  readonly data: {
    readonly name: string;
    readonly probe: string;
    readonly memoryMiB: number;
    readonly vcpus: number;
    readonly facts: ServerFacts;
    readonly at: string;
  };
}

export interface RecordFacts {
  readonly type: 'RecordFacts';
  readonly data: { readonly facts: ServerFacts; readonly at: string };
}

export type ServerCommand = RegisterServer | RecordFacts;

export type ServerEvent =
  | { readonly type: 'ServerRegistered'; readonly data: RegisterServer['data'] }
  | { readonly type: 'ServerFactsChanged'; readonly data: RecordFacts['data'] };

export type Server =
  { readonly status: 'unknown' } | ({ readonly status: 'registered' } & Omit<RegisterServer['data'], 'at'>);

export const server = defineAggregate<Server, ServerCommand, ServerEvent>({
  name: 'server',
  initialState: { status: 'unknown' },
  events: { ServerRegistered: { version: 1 }, ServerFactsChanged: { version: 1 } },
  decide,
  evolve,
});

function decide(command: ServerCommand, state: Server): readonly ServerEvent[] {
  switch (command.type) {
    case 'RegisterServer': {
      if (state.status === 'unknown') return [{ type: 'ServerRegistered', data: command.data }];
      if (state.name !== command.data.name) {
        throw new Rejected('SERVER_NAMED_OTHERWISE', `This disk is already registered as "${state.name}".`, {
          name: state.name,
        });
      }
      return factsChanged(state, command.data);
    }
    case 'RecordFacts': {
      if (state.status === 'unknown')
        throw new Rejected('SERVER_UNKNOWN', 'No server of this id is registered.');
      return factsChanged(state, command.data);
    }
    default:
      return never(command);
  }
}

function factsChanged(
  state: Extract<Server, { status: 'registered' }>,
  { facts, at }: { facts: ServerFacts; at: string },
): readonly ServerEvent[] {
  if (sameFacts(state.facts, facts)) return [];
  return [{ type: 'ServerFactsChanged', data: { facts, at } }];
}

function evolve(state: Server, event: ServerEvent): Server {
  switch (event.type) {
    case 'ServerRegistered': {
      const { at: _at, ...registered } = event.data;
      return { status: 'registered', ...registered };
    }
    case 'ServerFactsChanged':
      return state.status === 'registered' ? { ...state, facts: event.data.facts } : state;
    default:
      return never(event);
  }
}

/** Looking twice at an unchanged server is no news: the time of looking does not count. */
function sameFacts(before: ServerFacts, after: ServerFacts): boolean {
  return canonical({ ...before, inspectedAt: '' }) === canonical({ ...after, inspectedAt: '' });
}

/** JSON with sorted keys: facts that came back from the store have their keys in another order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
