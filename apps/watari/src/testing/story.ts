import type { JournalView } from '../cli/migrations';

/** Every public event of a cold migration that goes well. */
export const STORY_OF_A_COLD_MIGRATION = [
  'migration-execution migration.completed',
  'migration-execution migration.phase-completed boot-proof',
  'migration-execution migration.phase-completed convert-guest',
  'migration-execution migration.phase-completed copy-disk',
  'migration-execution migration.phase-completed finish',
  'migration-execution migration.phase-completed preflight',
  'migration-execution migration.phase-completed switch-over',
  'migration-execution migration.phase-completed verify',
  'migration-execution migration.phase-started boot-proof',
  'migration-execution migration.phase-started convert-guest',
  'migration-execution migration.phase-started copy-disk',
  'migration-execution migration.phase-started finish',
  'migration-execution migration.phase-started preflight',
  'migration-execution migration.phase-started switch-over',
  'migration-execution migration.phase-started verify',
  'migration-execution migration.planned',
  'image-conversion conversion.disk-copied',
  'image-conversion conversion.guest-converted',
  'licensing-compliance licence-assessment.completed',
  'support-matrix support-assessment.completed',
].sort();

/** What was published, each once; two services answer at the same moment, so their order may differ. */
export function storyOf(events: readonly JournalView[]): string[] {
  return events
    .map(({ source, type, data }) => `${source} ${type}${data['phase'] ? ` ${String(data['phase'])}` : ''}`)
    .sort();
}
