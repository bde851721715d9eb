import type { LicenceLine } from '@watari/contracts-licensing-compliance';
import { defineAggregate, never } from '@watari/event-sourcing';

export interface Assess {
  readonly type: 'Assess';
  readonly data: {
    readonly serverId: string;
    readonly lines: readonly Omit<LicenceLine, 'gap'>[];
    readonly unknownProducts: readonly string[];
    readonly at: string;
  };
}

export interface AssessmentCompleted {
  readonly type: 'AssessmentCompleted';
  readonly data: {
    readonly serverId: string;
    readonly verdict: 'compliant' | 'gap' | 'unknown';
    readonly lines: readonly LicenceLine[];
    readonly unknownProducts: readonly string[];
    readonly at: string;
  };
}

export type Assessment =
  { readonly status: 'open' } | ({ readonly status: 'completed' } & AssessmentCompleted['data']);

/** One question, answered once. A gap outweighs ignorance: what is known to be missing is missing. */
export const assessment = defineAggregate<Assessment, Assess, AssessmentCompleted>({
  name: 'assessment',
  initialState: { status: 'open' },
  events: { AssessmentCompleted: { version: 1 } },
  decide: (command, state) => {
    switch (command.type) {
      case 'Assess': {
        if (state.status === 'completed') return [];
        const lines = command.data.lines.map((line) => ({
          ...line,
          gap: Math.max(0, line.required - line.entitled),
        }));
        const hasGap = lines.some(({ gap }) => gap > 0);
        const verdict = hasGap ? 'gap' : command.data.unknownProducts.length > 0 ? 'unknown' : 'compliant';
        return [{ type: 'AssessmentCompleted', data: { ...command.data, lines, verdict } }];
      }
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
