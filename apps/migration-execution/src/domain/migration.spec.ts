import type { Assignment } from '@watari/contracts-migration-execution';
import { specificationOf } from '@watari/event-sourcing/testing';
import { planItinerary } from './itinerary';
import {
  type Answer,
  type Migration,
  type MigrationCommand,
  type MigrationEvent,
  migration,
} from './migration';

const at = '2026-01-15T10:00:00.000Z';
const cold: Assignment = {
  serverId: '6f1c2b9e-0a51-4c5e-9a3c-1a2b3c4d5e6f',
  kind: 'cold',
  targetHostId: 'host-a',
  platform: 'kvm',
  source: { disk: { path: '/srv/web-1.img', format: 'raw' }, mac: '52:54:00:12:34:56' },
  probe: 'http:8080/status',
};
const live: Assignment = {
  ...cold,
  kind: 'live',
  targetHostId: 'host-b',
  source: { ...cold.source, hostId: 'host-a' },
};

const planned = (assignment: Assignment): MigrationEvent => ({
  type: 'MigrationPlanned',
  data: { assignment, itinerary: planItinerary(assignment.kind), waivers: [], at },
});
type Phase = ReturnType<typeof planItinerary>[number];
type UndoStep = Extract<MigrationEvent, { type: 'UndoStarted' }>['data']['step'];
const phaseStarted = (phase: Phase, attempt: number, assignment = cold): MigrationEvent => ({
  type: 'PhaseStarted',
  data: { phase, attempt, assignment, at },
});
const undoStarted = (step: UndoStep, attempt: number, assignment = cold): MigrationEvent => ({
  type: 'UndoStarted',
  data: { step, attempt, assignment, at },
});
const started: MigrationEvent[] = [{ type: 'MigrationStarted', data: { at } }, phaseStarted('preflight', 1)];
const answer = (assessor: Answer['assessor'], blocking: Answer['blocking'] = []): Answer => ({
  assessor,
  blocking,
  summary: 'ready',
});
const recordAnswer = (said: Answer): MigrationCommand => ({ type: 'RecordAnswer', data: { ...said, at } });
const complete = (phase: ReturnType<typeof planItinerary>[number], attempt = 1): MigrationCommand => ({
  type: 'CompletePhase',
  data: { phase, attempt, result: {}, at },
});
const fail = (
  phase: ReturnType<typeof planItinerary>[number],
  canRetry: boolean,
  attempt = 1,
): MigrationCommand => ({
  type: 'FailPhase',
  data: { phase, attempt, code: 'PROBE_TIMED_OUT', reason: 'No answer.', canRetry, at },
});
const cancel: MigrationCommand = { type: 'CancelMigration', data: { by: 'Aya', reason: 'wrong window', at } };
const spec = specificationOf(migration);

/** The events of a migration that was driven to the start of `phase` by commands alone. */
function arrivedAt(phase: string, assignment = cold): MigrationEvent[] {
  const events: MigrationEvent[] = [];
  let state: Migration = migration.initialState;
  const run = (command: MigrationCommand) => {
    for (const event of migration.decide(command, state)) {
      events.push(event);
      state = migration.evolve(state, event);
    }
  };
  run({ type: 'PlanMigration', data: { assignment, waivers: [], at } });
  run({ type: 'StartMigration', data: { at } });
  for (const stop of planItinerary(assignment.kind)) {
    if (stop === phase) return events;
    if (stop === 'preflight') {
      run(recordAnswer(answer('support-matrix')));
      run(recordAnswer(answer('licensing-compliance')));
    } else run(complete(stop));
  }
  return events;
}

describe('planning', () => {
  it('fixes the itinerary of a cold migration', () =>
    spec
      .given([])
      .when({ type: 'PlanMigration', data: { assignment: cold, waivers: [], at } })
      .then([planned(cold)]));

  it('goes by other stops when the guest stays up', () =>
    expect(planItinerary('live')).toEqual([
      'preflight',
      'prepare-target',
      'pre-copy',
      'switch-over',
      'verify',
      'finish',
    ]));

  it('plans once, however often it is asked', () =>
    spec
      .given([planned(cold)])
      .when({ type: 'PlanMigration', data: { assignment: live, waivers: [], at } })
      .then([]));

  it('starts with preflight', () =>
    spec
      .given([planned(cold)])
      .when({ type: 'StartMigration', data: { at } })
      .then(started));

  it('starts once', () =>
    spec
      .given([planned(cold), ...started])
      .when({ type: 'StartMigration', data: { at } })
      .then([]));

  it('cannot start what was never planned', () =>
    spec.given([]).when({ type: 'StartMigration', data: { at } }).rejects('MIGRATION_UNKNOWN'));

  it('keeps to the itinerary it was planned with when the stops of today are others', () => {
    const old: MigrationEvent = {
      type: 'MigrationPlanned',
      data: { assignment: cold, itinerary: ['preflight', 'switch-over', 'finish'], waivers: [], at },
    };
    spec
      .given([
        old,
        ...started,
        { type: 'PhaseCompleted', data: { phase: 'preflight', attempt: 1, result: {}, at } },
        phaseStarted('switch-over', 1),
      ])
      .when(complete('switch-over'))
      .then([
        { type: 'PhaseCompleted', data: { phase: 'switch-over', attempt: 1, result: {}, at } },
        phaseStarted('finish', 1),
      ]);
  });
});

describe('preflight', () => {
  const supported: MigrationEvent = { type: 'AnswerRecorded', data: { ...answer('support-matrix'), at } };
  const blocked = answer('licensing-compliance', [{ concern: 'licences', text: 'Two are missing.' }]);
  const blockedRecorded: MigrationEvent = { type: 'AnswerRecorded', data: { ...blocked, at } };

  it('waits for both answers', () =>
    spec
      .given([planned(cold), ...started])
      .when(recordAnswer(answer('support-matrix')))
      .then([supported]));

  it('counts an answer once', () =>
    spec
      .given([planned(cold), ...started, supported])
      .when(recordAnswer(answer('support-matrix')))
      .then([]));

  it('goes on when neither objects', () =>
    spec
      .given([planned(cold), ...started, supported])
      .when(recordAnswer(answer('licensing-compliance')))
      .then([
        { type: 'AnswerRecorded', data: { ...answer('licensing-compliance'), at } },
        {
          type: 'PhaseCompleted',
          data: {
            phase: 'preflight',
            attempt: 1,
            result: { 'support-matrix': 'ready', 'licensing-compliance': 'ready' },
            at,
          },
        },
        phaseStarted('copy-disk', 1),
      ]));

  it('stops at a licence gap, with nothing to undo', () =>
    spec
      .given([planned(cold), ...started, supported])
      .when(recordAnswer(blocked))
      .then([
        blockedRecorded,
        {
          type: 'PhaseFailed',
          data: {
            phase: 'preflight',
            attempt: 1,
            code: 'PREFLIGHT_BLOCKED',
            reason: 'licences: Two are missing.',
            willRetry: false,
            at,
          },
        },
        {
          type: 'RollBackStarted',
          data: { code: 'PREFLIGHT_BLOCKED', reason: 'licences: Two are missing.', steps: [], at },
        },
        {
          type: 'MigrationRolledBack',
          data: { code: 'PREFLIGHT_BLOCKED', reason: 'licences: Two are missing.', at },
        },
      ]));

  const waived = (expiresAt: string): MigrationEvent => ({
    type: 'MigrationPlanned',
    data: {
      assignment: cold,
      itinerary: planItinerary('cold'),
      waivers: [{ concern: 'licences', person: 'Aya', reason: 'ordered', expiresAt }],
      at,
    },
  });

  it('goes on when the gap is waived', () => {
    const state = spec.given([waived('2026-02-01T00:00:00.000Z'), ...started, supported]).state();
    expect(migration.decide(recordAnswer(blocked), state).map(({ type }) => type)).toEqual([
      'AnswerRecorded',
      'PhaseCompleted',
      'PhaseStarted',
    ]);
  });

  it('does not go on by a waiver that has expired', () => {
    const state = spec.given([waived('2026-01-01T00:00:00.000Z'), ...started, supported]).state();
    expect(migration.decide(recordAnswer(blocked), state).map(({ type }) => type)).toContain('PhaseFailed');
  });
});

describe('phases', () => {
  it('follow each other', () =>
    spec
      .given(arrivedAt('copy-disk'))
      .when(complete('copy-disk'))
      .then([
        { type: 'PhaseCompleted', data: { phase: 'copy-disk', attempt: 1, result: {}, at } },
        phaseStarted('convert-guest', 1),
      ]));

  it('do not follow twice when the report of a completed one arrives again', () =>
    spec.given(arrivedAt('boot-proof')).when(complete('convert-guest')).then([]));

  it('cannot be skipped', () =>
    spec.given(arrivedAt('copy-disk')).when(complete('verify')).rejects('MIGRATION_PHASE_OUT_OF_ORDER'));

  it('end with the migration', () =>
    spec
      .given(arrivedAt('finish'))
      .when(complete('finish'))
      .then([
        { type: 'PhaseCompleted', data: { phase: 'finish', attempt: 1, result: {}, at } },
        { type: 'MigrationCompleted', data: { serverId: cold.serverId, hostId: 'host-a', at } },
      ]));

  it('accept a redelivered last report after the end', () => {
    const events = arrivedAt('finish');
    const end = migration.decide(complete('finish'), spec.given(events).state());
    spec
      .given([...events, ...end])
      .when(complete('finish'))
      .then([]);
  });

  it('are tried again when trying again can help', () =>
    spec
      .given(arrivedAt('boot-proof'))
      .when(fail('boot-proof', true))
      .then([
        {
          type: 'PhaseFailed',
          data: {
            phase: 'boot-proof',
            attempt: 1,
            code: 'PROBE_TIMED_OUT',
            reason: 'No answer.',
            willRetry: true,
            at,
          },
        },
        phaseStarted('boot-proof', 2),
      ]));

  it('are undone past the point of no return when the target is known never to have run', () => {
    const failure = {
      ...fail('switch-over', false),
      data: { ...(fail('switch-over', false).data as object), targetNeverRan: true },
    };
    const events = migration.decide(
      failure as MigrationCommand,
      arrivedAt('switch-over', live).reduce(migration.evolve, migration.initialState),
    );
    expect(events.map(({ type }) => type)).toEqual(['PhaseFailed', 'RollBackStarted', 'UndoStarted']);
  });

  it('ignore a late report of an earlier attempt', () => {
    const events = arrivedAt('boot-proof');
    const retried = [...events, ...migration.decide(fail('boot-proof', true), spec.given(events).state())];
    spec.given(retried).when(complete('boot-proof', 1)).then([]);
    spec
      .given(retried)
      .when(fail('boot-proof', false, 1))
      .then([]);
  });

  it('are tried three times, then undone, last one first', () => {
    let events = arrivedAt('boot-proof');
    for (const attempt of [1, 2])
      events = [
        ...events,
        ...migration.decide(fail('boot-proof', true, attempt), spec.given(events).state()),
      ];
    const end = migration.decide(fail('boot-proof', true, 3), spec.given(events).state());
    expect(end.map(({ type }) => type)).toEqual(['PhaseFailed', 'RollBackStarted', 'UndoStarted']);
    expect(end[1]).toMatchObject({
      data: { steps: ['stop-proof', 'discard-clone', 'discard-copy'], code: 'PROBE_TIMED_OUT' },
    });
  });

  it('stall past the point of no return, and go on when a person says so', () => {
    const events = arrivedAt('verify');
    const stalled = migration.decide(fail('verify', false), spec.given(events).state());
    expect(stalled.map(({ type }) => type)).toEqual(['PhaseFailed', 'MigrationStalled']);
    spec
      .given([...events, ...stalled])
      .when({ type: 'RetryMigration', data: { by: 'Aya', at } })
      .then([phaseStarted('verify', 2)]);
  });
});

describe('cancelling', () => {
  it('needs no undoing before the start', () =>
    expect(migration.decide(cancel, spec.given([planned(cold)]).state()).map(({ type }) => type)).toEqual([
      'CancelRequested',
      'MigrationRolledBack',
    ]));

  it('undoes the phase under way too', () =>
    spec
      .given(arrivedAt('pre-copy', live))
      .when(cancel)
      .then([
        { type: 'CancelRequested', data: { by: 'Aya', reason: 'wrong window', at } },
        {
          type: 'RollBackStarted',
          data: {
            code: 'MIGRATION_CANCELLED',
            reason: 'Cancelled by Aya: wrong window',
            steps: ['cancel-move'],
            at,
          },
        },
        undoStarted('cancel-move', 1, live),
      ]));

  it.each(['switch-over', 'verify', 'finish'])(
    'is refused once %s has begun: the target may be running',
    (phase) => {
      spec.given(arrivedAt(phase)).when(cancel).rejects('MIGRATION_PAST_RETURN');
      spec.given(arrivedAt(phase, live)).when(cancel).rejects('MIGRATION_PAST_RETURN');
    },
  );

  it('takes a phase that completes meanwhile for over', () => {
    const events = arrivedAt('convert-guest');
    const cancelled = [...events, ...migration.decide(cancel, spec.given(events).state())];
    spec.given(cancelled).when(complete('convert-guest')).then([]);
  });

  it('rolls back step by step to the end', () => {
    let events = arrivedAt('convert-guest');
    events = [...events, ...migration.decide(cancel, spec.given(events).state())];
    events = [
      ...events,
      ...migration.decide(
        { type: 'CompleteUndo', data: { step: 'discard-clone', attempt: 1, at } },
        spec.given(events).state(),
      ),
    ];
    spec
      .given(events)
      .when({ type: 'CompleteUndo', data: { step: 'discard-copy', attempt: 1, at } })
      .then([
        { type: 'UndoCompleted', data: { step: 'discard-copy', at } },
        {
          type: 'MigrationRolledBack',
          data: { code: 'MIGRATION_CANCELLED', reason: 'Cancelled by Aya: wrong window', at },
        },
      ]);
  });

  it('stalls when undoing fails for good, and goes on undoing when a person says so', () => {
    let events = arrivedAt('copy-disk');
    events = [...events, ...migration.decide(cancel, spec.given(events).state())];
    const failure = {
      step: 'discard-copy' as const,
      attempt: 1,
      code: 'DISK_BUSY',
      reason: 'busy',
      canRetry: false,
      at,
    };
    events = [
      ...events,
      ...migration.decide({ type: 'FailUndo', data: failure }, spec.given(events).state()),
    ];
    expect(spec.given(events).state().status).toBe('stalled');
    spec
      .given(events)
      .when({ type: 'RetryMigration', data: { by: 'Aya', at } })
      .then([undoStarted('discard-copy', 2)]);
  });

  it('is refused when the migration is completed', () => {
    const events = arrivedAt('finish');
    spec
      .given([...events, ...migration.decide(complete('finish'), spec.given(events).state())])
      .when(cancel)
      .rejects('MIGRATION_OVER');
  });
});
