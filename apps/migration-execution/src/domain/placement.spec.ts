import { specificationOf } from '@watari/event-sourcing/testing';
import { type PlacementCommand, type PlacementEvent, placement } from './placement';

const at = '2026-01-15T10:00:00.000Z';
const hold = (migrationId: string, holderIsOver = false): PlacementCommand => ({
  type: 'HoldServer',
  data: { migrationId, holderIsOver, at },
});
const held = (migrationId: string): PlacementEvent => ({ type: 'ServerHeld', data: { migrationId, at } });
const place = {
  migrationId: 'm1',
  hostId: 'host-a',
  disk: { path: '/data/g.raw', format: 'raw' as const },
  mac: '52:54:00:00:00:01',
  at,
};
const spec = specificationOf(placement);

describe('placement', () => {
  it('lets one migration hold a server', () =>
    spec
      .given([])
      .when(hold('m1'))
      .then([held('m1')]));

  it('holds it once, however often it is asked', () =>
    spec
      .given([held('m1')])
      .when(hold('m1'))
      .then([]));

  it('refuses a second migration while the first is not over', () =>
    spec
      .given([held('m1')])
      .when(hold('m2'))
      .rejects('SERVER_BUSY'));

  it('passes on to the next when the holder is over', () =>
    spec
      .given([held('m1')])
      .when(hold('m2', true))
      .then([held('m2')]));

  it('places a server once', () => {
    spec
      .given([held('m1')])
      .when({ type: 'PlaceServer', data: place })
      .then([{ type: 'ServerPlaced', data: place }]);
    spec
      .given([held('m1'), { type: 'ServerPlaced', data: place }])
      .when({ type: 'PlaceServer', data: place })
      .then([]);
  });

  it('takes a place from the migration that holds the server alone', () =>
    spec
      .given([held('m2')])
      .when({ type: 'PlaceServer', data: place })
      .rejects('SERVER_NOT_HELD'));
});
