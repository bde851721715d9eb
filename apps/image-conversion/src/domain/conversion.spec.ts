import type { Assignment } from '@watari/contracts-migration-execution';
import { specificationOf } from '@watari/event-sourcing/testing';
import { type ConversionCommand, type ConversionEvent, type WorkKind, conversion } from './conversion';

const at = '2026-01-15T10:00:00.000Z';
const assignment: Assignment = {
  serverId: '6f1c2b9e-0a51-4c5e-9a3c-1a2b3c4d5e6f',
  kind: 'cold',
  targetHostId: 'host-a',
  platform: 'kvm',
  source: { disk: { path: '/srv/web-1.img', format: 'raw' } },
  probe: 'tcp:80',
};
const replica = { path: '/data/replica.raw', format: 'raw' as const };
const disk = { path: '/data/guest.raw', format: 'raw' as const };
const request = (kind: WorkKind, attempt = 1): ConversionCommand => ({
  type: 'RequestWork',
  data: { kind, attempt, assignment, at },
});
const requested = (kind: WorkKind, attempt = 1, withReplica = false): ConversionEvent => ({
  type: 'WorkRequested',
  data: { kind, attempt, assignment, at, ...(withReplica && { replica }) },
});
const copied: ConversionEvent = { type: 'DiskCopied', data: { attempt: 1, replica, copiedBytes: 10, at } };
const recordGuest: ConversionCommand = {
  type: 'RecordGuest',
  data: { attempt: 1, disk, manifestPath: '/data/m.json', steps: [], mac: '52:54:00:00:00:01', at },
};
const converted: ConversionEvent = { type: 'GuestConverted', data: recordGuest.data };
const spec = specificationOf(conversion);

describe('conversion', () => {
  it('takes on a copy', () =>
    spec
      .given([])
      .when(request('copy-disk'))
      .then([requested('copy-disk')]));

  it('takes on the same work once', () =>
    spec
      .given([requested('copy-disk')])
      .when(request('copy-disk'))
      .then([]));

  it('takes on another attempt', () =>
    spec
      .given([requested('copy-disk')])
      .when(request('copy-disk', 2))
      .then([requested('copy-disk', 2)]));

  it('converts the replica, never the source', () =>
    spec
      .given([requested('copy-disk'), copied])
      .when(request('convert-guest'))
      .then([requested('convert-guest', 1, true)]));

  it('fails at once when there is no replica to convert', () => {
    const events = conversion.decide(request('convert-guest'), { work: {} });
    expect(events[1]).toMatchObject({
      type: 'WorkFailed',
      data: { code: 'REPLICA_MISSING', canRetry: false },
    });
  });

  it('records a result once', () => {
    const past = [requested('copy-disk'), copied, requested('convert-guest', 1, true)];
    spec.given(past).when(recordGuest).then([converted]);
    spec
      .given([...past, converted])
      .when(recordGuest)
      .then([]);
  });

  it('does not count the result of work that was discarded meanwhile', () => {
    const past = [
      requested('copy-disk'),
      copied,
      requested('convert-guest', 1, true),
      requested('discard-clone'),
    ];
    spec.given(past).when(recordGuest).then([]);
  });

  it('forgets the clone and keeps the replica when the clone is discarded', () => {
    const past = [
      requested('copy-disk'),
      copied,
      requested('convert-guest', 1, true),
      converted,
      requested('discard-clone'),
    ];
    const { replica: kept, disk: gone } = spec
      .given([...past, { type: 'Discarded', data: { kind: 'discard-clone', attempt: 1, at } }])
      .state();
    expect({ kept, gone }).toEqual({ kept: replica, gone: undefined });
  });

  it('records a failure of open work, not of work that is over', () => {
    const failure = {
      kind: 'copy-disk' as const,
      attempt: 1,
      code: 'DISK_TRUNCATED',
      reason: 'short',
      canRetry: false,
      at,
    };
    spec
      .given([requested('copy-disk')])
      .when({ type: 'RecordFailure', data: failure })
      .then([{ type: 'WorkFailed', data: failure }]);
    spec
      .given([requested('copy-disk'), copied])
      .when({ type: 'RecordFailure', data: failure })
      .then([]);
  });
});
