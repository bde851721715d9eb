import { catalogueOf, defineEvent, type EventOf } from '@watari/contracts-base';
import { z } from 'zod';

const text = z.string().min(1).max(2000);

export const LicenceLine = z.object({
  product: text,
  metric: text,
  /** Licences needed while source and target both exist, the highest of before, during and after. */
  required: z.int().nonnegative(),
  entitled: z.int().nonnegative(),
  gap: z.int().nonnegative(),
  /** How `required` came about, in words and numbers. */
  derivation: text,
  source: z.string().max(2000),
});
export type LicenceLine = z.infer<typeof LicenceLine>;

export const LicenceAssessmentCompleted = defineEvent({
  type: 'licence-assessment.completed',
  version: 1,
  topic: 'licensing-compliance.assessment',
  key: 'assessmentId',
  summary: 'Is the move of this server covered by licences: the answer, product by product.',
  data: z.object({
    assessmentId: z.uuid(),
    serverId: z.uuid(),
    verdict: z.enum(['compliant', 'gap', 'unknown']),
    lines: z.array(LicenceLine).max(200),
    /** Products found whose terms no rule pack holds. */
    unknownProducts: z.array(text).max(500),
    at: z.iso.datetime(),
  }),
});

export const licensingComplianceContracts = [LicenceAssessmentCompleted] as const;
export const licensingComplianceCatalogue = catalogueOf(licensingComplianceContracts);
export type LicensingComplianceEvent = EventOf<(typeof licensingComplianceContracts)[number]>;
