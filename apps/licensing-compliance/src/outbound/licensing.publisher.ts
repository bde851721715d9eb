import { LicenceAssessmentCompleted } from '@watari/contracts-licensing-compliance';
import { type OutboxRecord, type RawStoredEvent, readStored } from '@watari/event-sourcing';
import { publicRecord } from '@watari/service-kit';
import { assessment } from '../domain/assessment';

/** Assessments are public; what was bought stays here. */
export function publishLicensing(raw: RawStoredEvent): readonly OutboxRecord[] {
  if (raw.stream.aggregate !== assessment.name) return [];
  const { event } = readStored(assessment, raw);
  const { lines, unknownProducts, ...rest } = event.data;
  const data = {
    assessmentId: raw.stream.id,
    ...rest,
    lines: [...lines],
    unknownProducts: [...unknownProducts],
  };
  return [publicRecord(LicenceAssessmentCompleted, data, raw, 'licensing-compliance')];
}
