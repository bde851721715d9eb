import {
  evolve,
  mayRun,
  type Ownership,
  type OwnershipEvent,
  standingOf,
  stepAfterRestart,
  stepOfSource,
  stepOfTarget,
} from './ownership';

const peer = { agentId: 'other', apiUrl: 'https://127.0.0.1:1' };
const begun: OwnershipEvent = { type: 'switch-over-begun', moveId: 'm', peer };

function run(from: Ownership, ...events: OwnershipEvent[]): Ownership {
  return events.reduce(evolve, from);
}

const owned: Ownership = { state: 'owned' };
const incoming: Ownership = { state: 'incoming', moveId: 'm', peer };

describe('ownership of a guest', () => {
  it('passes from source to target by commit', () => {
    const source = run(owned, begun, { type: 'committed' });
    const target = run(incoming, { type: 'stream-verified' }, { type: 'commit-received' });
    expect(mayRun(source)).toBe(false);
    expect(target).toEqual({ state: 'owned', cameBy: 'm' });
    expect(run(source, { type: 'confirmed' })).toMatchObject({ state: 'moved-away', moveId: 'm' });
  });

  it('returns to the source when the move fails before the commit', () => {
    expect(run(owned, begun, { type: 'taken-back' })).toEqual(owned);
  });

  it('returns from the commit only when the target swears that it did not run', () => {
    const committed = run(owned, begun, { type: 'committed' });
    expect(() => evolve(committed, { type: 'taken-back' })).toThrow(/cannot take the step/);
    expect(run(committed, { type: 'refused-by-target' })).toEqual(owned);
    expect(stepOfSource('discarded')).toBe('take-back');
    expect(
      ['waiting', 'undecided', 'kept', 'handed-over'].map((one) => stepOfSource(one as 'waiting')),
    ).toEqual(Array(4).fill('wait'));
  });

  it('lets a target run on no answer but that the guest was handed over', () => {
    expect(stepOfTarget('handed-over')).toBe('run');
    expect(stepOfTarget('kept')).toBe('discard');
    expect((['undecided', 'waiting', 'owned', 'discarded'] as const).map(stepOfTarget)).toEqual(
      Array(4).fill('wait'),
    );
  });

  it('never lets both sides run, whatever happens in whatever order', () => {
    // Every word of one side can be lost, every side can restart: all pairs that can be reached are looked at.
    type Pair = { source: Ownership; target: Ownership | null };
    const seen = new Map<string, Pair>();
    const open: Pair[] = [{ source: owned, target: null }];
    while (open.length > 0) {
      const pair = open.pop() as Pair;
      const key = JSON.stringify(pair);
      if (seen.has(key)) continue;
      seen.set(key, pair);
      open.push(...nextPairs(pair));
    }
    const pairs = [...seen.values()];
    expect(pairs.length).toBeGreaterThan(10);
    for (const { source, target } of pairs) {
      const runners = [mayRun(source), target !== null && mayRun(target)].filter(Boolean).length;
      expect(runners).toBeLessThanOrEqual(1);
      // A guest that nobody may run always has a way on.
      if (runners === 0) expect(nextPairs({ source, target }).length).toBeGreaterThan(0);
    }
    expect(pairs.some(({ target }) => target !== null && mayRun(target))).toBe(true);

    function nextPairs({ source, target }: Pair): Pair[] {
      const next: Pair[] = [];
      const answerOfSource = standingOf(source, 'm') ?? 'kept';
      const answerOfTarget = target && standingOf(target, 'm');
      if (source.state === 'owned' && target === null) next.push({ source, target: incoming });
      if (source.state === 'owned' && target?.state === 'incoming')
        next.push({ source: evolve(source, begun), target });
      if (target?.state === 'incoming' && source.state === 'handing-over')
        next.push({ source, target: evolve(target, { type: 'stream-verified' }) });
      if (source.state === 'handing-over') {
        next.push({ source: evolve(source, { type: 'taken-back' }), target });
        if (target?.state === 'received')
          next.push({ source: evolve(source, { type: 'committed' }), target });
        // The note "received" can be lost with the target's agent.
        if (target?.state === 'received')
          next.push({ source: evolve(source, { type: 'committed' }), target: incoming });
      }
      if (target?.state === 'incoming' || target?.state === 'received') {
        const step = stepOfTarget(answerOfSource);
        if (step === 'run') next.push({ source, target: evolve(target, { type: 'commit-received' }) });
        // Discarded on the source's word, or because its QEMU is gone.
        next.push({ source, target: evolve(target, { type: 'discarded' }) });
      }
      if (source.state === 'handed-over' && answerOfTarget) {
        const step = stepOfSource(answerOfTarget);
        if (step === 'confirm') next.push({ source: evolve(source, { type: 'confirmed' }), target });
        if (step === 'take-back')
          next.push({ source: evolve(source, { type: 'refused-by-target' }), target });
      }
      return next;
    }
  });

  it('refuses every step that the diagram does not have', () => {
    const states: Ownership[] = [
      owned,
      ...(['handing-over', 'handed-over', 'moved-away', 'incoming', 'received', 'discarded'] as const).map(
        (state): Ownership => ({ state, moveId: 'm', peer }),
      ),
    ];
    const events: OwnershipEvent[] = [
      begun,
      ...(
        [
          'taken-back',
          'committed',
          'confirmed',
          'refused-by-target',
          'stream-verified',
          'commit-received',
          'discarded',
        ] as const
      ).map((type): OwnershipEvent => ({ type })),
    ];
    const allowed = states.flatMap((state) =>
      events.flatMap((event) => {
        try {
          return [`${state.state} ${event.type} ${evolve(state, event).state}`];
        } catch (error) {
          expect(error).toMatchObject({ code: 'OWNERSHIP_BROKEN' });
          return [];
        }
      }),
    );
    expect(allowed).toEqual([
      'owned switch-over-begun handing-over',
      'handing-over taken-back owned',
      'handing-over committed handed-over',
      'handed-over confirmed moved-away',
      'handed-over refused-by-target owned',
      'incoming stream-verified received',
      'incoming commit-received owned',
      'incoming discarded discarded',
      'received commit-received owned',
      'received discarded discarded',
    ]);
  });

  it('knows after a restart whom to ask', () => {
    expect(stepAfterRestart(owned)).toBe('run');
    expect(stepAfterRestart({ state: 'handing-over', moveId: 'm', peer })).toBe('take-back');
    expect(stepAfterRestart({ state: 'handed-over', moveId: 'm', peer })).toBe('ask-target');
    expect(stepAfterRestart({ state: 'received', moveId: 'm', peer })).toBe('ask-source');
    expect(stepAfterRestart({ state: 'moved-away', moveId: 'm', peer })).toBe('none');
  });

  it('answers about its own move alone', () => {
    expect(standingOf({ state: 'handed-over', moveId: 'm', peer }, 'm')).toBe('handed-over');
    expect(standingOf({ state: 'handed-over', moveId: 'm', peer }, 'other')).toBeNull();
    expect(standingOf({ state: 'owned', cameBy: 'm' }, 'm')).toBe('owned');
    expect(standingOf(owned, 'm')).toBeNull();
  });
});
