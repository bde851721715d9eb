import { SupportAssessmentCompleted } from '@watari/contracts-support-matrix';
import { type OutboxRecord, type RawStoredEvent, readStored } from '@watari/event-sourcing';
import { publicRecord } from '@watari/service-kit';
import { assessment } from '../domain/assessment';

export function publishSupport(raw: RawStoredEvent): readonly OutboxRecord[] {
  const { event } = readStored(assessment, raw);
  const data = { assessmentId: raw.stream.id, ...event.data, concerns: [...event.data.concerns] };
  return [publicRecord(SupportAssessmentCompleted, data, raw, 'support-matrix')];
}
