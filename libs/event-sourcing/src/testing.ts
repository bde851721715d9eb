/// <reference types="jest" />
import { type Decider, Rejected } from './decider';

/**
 * given(past events).when(command).then(events) for a decider, with no store behind it.
 *
 *     const spec = specificationOf(migrationDecider);
 *     spec.given([planned]).when(cancel).then([cancelled]);
 *     spec.given([handedOver]).when(cancel).rejects('MIGRATION_PAST_RETURN');
 */
export function specificationOf<State, Command, Event>(decider: Decider<State, Command, Event>) {
  return {
    given: (past: readonly Event[]) => ({
      when: (command: Command) => {
        const decide = () => decider.decide(command, fold(decider, past));
        return {
          then: (expected: readonly Event[]) => {
            expect(decide()).toEqual(expected);
          },
          rejects: (code: string) => {
            let thrown: unknown;
            try {
              decide();
            } catch (error) {
              thrown = error;
            }
            expect(thrown).toBeInstanceOf(Rejected);
            expect((thrown as Rejected).code).toBe(code);
          },
        };
      },
      folds: (expected: State) => expect(fold(decider, past)).toEqual(expected),
      state: () => fold(decider, past),
    }),
  };
}

function fold<State, Command, Event>(
  decider: Decider<State, Command, Event>,
  events: readonly Event[],
): State {
  return events.reduce((state, event) => decider.evolve(state, event), decider.initialState);
}
