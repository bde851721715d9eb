import { Rejected, defineAggregate, never } from '@watari/event-sourcing';

export interface Place {
  readonly hostId: string;
  readonly disk: { readonly path: string; readonly format: 'raw' | 'qcow2' };
  readonly mac: string;
}

export type PlacementCommand =
  | {
      readonly type: 'HoldServer';
      /** `holderIsOver`: whoever held it, by what the caller read, has reached an end it cannot leave. */
      readonly data: { readonly migrationId: string; readonly holderIsOver: boolean; readonly at: string };
    }
  | {
      readonly type: 'PlaceServer';
      readonly data: Place & { readonly migrationId: string; readonly at: string };
    };

export type PlacementEvent =
  | { readonly type: 'ServerHeld'; readonly data: { readonly migrationId: string; readonly at: string } }
  | {
      readonly type: 'ServerPlaced';
      readonly data: Place & { readonly migrationId: string; readonly at: string };
    };

/** Where a server runs as a guest, and which migration may move it now; one stream per server. */
export interface Placement {
  readonly place?: Place;
  readonly heldBy?: string;
}

export const placement = defineAggregate<Placement, PlacementCommand, PlacementEvent>({
  name: 'placement',
  initialState: {},
  events: { ServerHeld: { version: 1 }, ServerPlaced: { version: 1 } },
  decide: (command, state) => {
    switch (command.type) {
      case 'HoldServer': {
        const { migrationId, holderIsOver, at } = command.data;
        if (state.heldBy === migrationId) return [];
        if (state.heldBy !== undefined && !holderIsOver)
          throw new Rejected(
            'SERVER_BUSY',
            `The migration ${state.heldBy} of this server is not over; wait for it or cancel it.`,
            { migrationId: state.heldBy },
          );
        return [{ type: 'ServerHeld', data: { migrationId, at } }];
      }
      case 'PlaceServer': {
        const { migrationId, hostId, disk } = command.data;
        if (state.heldBy !== migrationId)
          throw new Rejected('SERVER_NOT_HELD', `The migration ${migrationId} does not hold this server.`);
        if (state.place?.hostId === hostId && state.place.disk.path === disk.path) return [];
        return [{ type: 'ServerPlaced', data: command.data }];
      }
      default:
        return never(command);
    }
  },
  evolve: (state, event) => {
    switch (event.type) {
      case 'ServerHeld':
        return { ...state, heldBy: event.data.migrationId };
      case 'ServerPlaced': {
        const { hostId, disk, mac } = event.data;
        return { ...state, place: { hostId, disk, mac } };
      }
      default:
        return never(event);
    }
  },
});
