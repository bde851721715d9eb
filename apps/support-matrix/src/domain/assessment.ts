import type { Concern } from '@watari/contracts-support-matrix';
import { defineAggregate, never } from '@watari/event-sourcing';
import { type Readiness, readinessOf } from './rules';

export interface Assess {
  readonly type: 'Assess';
  readonly data: {
    readonly serverId: string;
    readonly platform: 'kvm';
    readonly virtualization: 'full';
    /** What the rules say of the facts as they were when asked. */
    readonly concerns: readonly Concern[];
    readonly at: string;
  };
}

export interface AssessmentCompleted {
  readonly type: 'AssessmentCompleted';
  readonly data: Assess['data'] & { readonly readiness: Readiness };
}

export type Assessment =
  { readonly status: 'open' } | ({ readonly status: 'completed' } & AssessmentCompleted['data']);

/** One question, answered once: what was said when a migration was let through stays said. */
export const assessment = defineAggregate<Assessment, Assess, AssessmentCompleted>({
  name: 'assessment',
  initialState: { status: 'open' },
  events: { AssessmentCompleted: { version: 1 } },
  decide: (command, state) => {
    switch (command.type) {
      case 'Assess':
        if (state.status === 'completed') return [];
        return [
          {
            type: 'AssessmentCompleted',
            data: { ...command.data, readiness: readinessOf(command.data.concerns) },
          },
        ];
      default:
        return never(command.type);
    }
  },
  evolve: (_state, event) => {
    switch (event.type) {
      case 'AssessmentCompleted':
        return { status: 'completed', ...event.data };
      default:
        return never(event.type);
    }
  },
});
