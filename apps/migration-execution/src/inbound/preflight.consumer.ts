import {
  LicenceAssessmentCompleted,
  type LicensingComplianceEvent,
  licensingComplianceCatalogue,
} from '@watari/contracts-licensing-compliance';
import {
  SupportAssessmentCompleted,
  type SupportMatrixEvent,
  supportMatrixCatalogue,
} from '@watari/contracts-support-matrix';
import { loadState, runCommand } from '@watari/event-sourcing';
import { type ConsumerSpec, type ServiceContext, causeOf } from '@watari/service-kit';
import { type Answer, migration } from '../domain/migration';

type AssessmentEvent = SupportMatrixEvent | LicensingComplianceEvent;

/** Brings the answers of the assessing services to the migration that waits for them. */
export function preflightConsumer(context: ServiceContext): ConsumerSpec {
  return {
    name: 'preflight',
    catalogue: new Map([...supportMatrixCatalogue, ...licensingComplianceCatalogue]),
    topics: [SupportAssessmentCompleted.topic, LicenceAssessmentCompleted.topic],
    mode: 'react',
    handle: async (received) => {
      const event = received as AssessmentEvent;
      const { assessmentId } = event.data;
      // People ask too, without a migration.
      const { state } = await loadState(context.store, migration, assessmentId);
      if (state.status === 'unplanned') return;
      const data = { ...answerOf(event), at: context.now().toISOString() };
      const cause = causeOf(event, 'migration-execution.preflight');
      await runCommand(context.store, migration, assessmentId, { type: 'RecordAnswer', data }, cause);
    },
  };
}

function answerOf(event: AssessmentEvent): Answer {
  if (event.type === 'support-assessment.completed') {
    const { readiness, concerns } = event.data;
    return {
      assessor: 'support-matrix',
      blocking: concerns
        // A rule that lacks a fact promises nothing; a person may know better and waive it.
        .filter(({ severity }) => severity === 'critical' || severity === 'unknown')
        .map(({ ruleId, text, remedy }) => ({ concern: ruleId, text: `${text} ${remedy}`.trim() })),
      summary: concerns.length === 0 ? readiness : `${readiness}, ${concerns.length} concern(s)`,
    };
  }
  const { verdict, lines, unknownProducts } = event.data;
  const gaps = lines.filter(({ gap }) => gap > 0);
  return {
    assessor: 'licensing-compliance',
    blocking: gaps.map(({ product, gap, derivation }) => ({
      concern: `licence:${product}`,
      text: `${gap} more licence(s) of ${product} are needed (${derivation})`,
    })),
    summary:
      unknownProducts.length === 0
        ? verdict
        : `${verdict}, terms unknown: ${unknownProducts.join(', ')}`.slice(0, 1000),
  };
}
