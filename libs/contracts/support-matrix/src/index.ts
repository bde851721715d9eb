import { catalogueOf, defineEvent, type EventOf } from '@watari/contracts-base';
import { z } from 'zod';

const text = z.string().min(1).max(2000);

export const Concern = z.object({
  /** `<rule>@<pack>-<version>`: which rule of which rule pack said so. */
  ruleId: text,
  /** `unknown`: a fact that the rule needs is missing, so nothing can be promised. */
  severity: z.enum(['critical', 'warning', 'information', 'unknown']),
  text,
  remedy: z.string().max(2000),
  source: z.string().max(2000),
});
export type Concern = z.infer<typeof Concern>;

export const SupportAssessmentCompleted = defineEvent({
  type: 'support-assessment.completed',
  version: 1,
  topic: 'support-matrix.assessment',
  key: 'assessmentId',
  summary: 'May this server run on that platform: the answer, with its concerns.',
  data: z.object({
    /** The migration that asked, or an id of the request. */
    assessmentId: z.uuid(),
    serverId: z.uuid(),
    platform: z.enum(['kvm']),
    virtualization: z.enum(['full']),
    readiness: z.enum(['ready', 'ready-with-conditions', 'unknown', 'not-ready']),
    concerns: z.array(Concern).max(200),
    at: z.iso.datetime(),
  }),
});

export const supportMatrixContracts = [SupportAssessmentCompleted] as const;
export const supportMatrixCatalogue = catalogueOf(supportMatrixContracts);
export type SupportMatrixEvent = EventOf<(typeof supportMatrixContracts)[number]>;
