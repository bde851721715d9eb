import type { ApiClient } from './api-client';
import { CliError, EXIT } from './errors';
import { type Output, type Progress, bytesInWords, table } from './output';

export interface WorkView {
  readonly kind: string;
  readonly state: string;
  readonly progressText: string;
  readonly progressFraction: number | null;
}

export interface MigrationView {
  readonly migrationId: string;
  readonly status: string;
  readonly assignment: {
    readonly serverId: string;
    readonly kind: 'cold' | 'live';
    readonly targetHostId: string;
    readonly source: { readonly hostId?: string; readonly disk: { readonly path: string } };
  };
  readonly itinerary: readonly string[];
  readonly doneCount: number;
  readonly phase: string | null;
  readonly attempt: number;
  readonly results: Readonly<Record<string, Record<string, unknown>>>;
  readonly why?: { readonly code: string; readonly reason: string };
  readonly work: readonly WorkView[];
}

export interface JournalView {
  readonly eventId: string;
  readonly type: string;
  readonly version: number;
  readonly source: string;
  readonly time: string;
  readonly causationId: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const OVER = new Set(['completed', 'rolled-back', 'stalled']);
const POLL_MS = 300;

/** Follows a migration to its end, showing each phase; resolves with where it ended. Aborting stops watching, not the migration. */
export async function watchMigration(
  api: ApiClient,
  migrationId: string,
  output: Output,
  signal: AbortSignal,
): Promise<MigrationView> {
  const progress = output.progress();
  let shown = '';
  try {
    for (;;) {
      signal.throwIfAborted();
      const migration = await api.get<MigrationView>(`/migrations/${migrationId}`);
      const step = `${migration.status} ${migration.phase ?? ''} ${migration.attempt}`;
      if (step !== shown) {
        if (shown) progress.end();
        shown = step;
        const head = headOf(migration);
        if (head) output.note(head);
      }
      if (OVER.has(migration.status)) return migration;
      await showWork(api, migration, progress);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    progress.end();
  }
}

function headOf({ status, phase, doneCount, itinerary, attempt }: MigrationView): string {
  if (status === 'running' && phase)
    return `[${doneCount + 1}/${itinerary.length}] ${phase}${attempt > 1 ? ` (attempt ${attempt})` : ''}`;
  return status === 'rolling-back' ? 'rolling back' : '';
}

async function showWork(api: ApiClient, migration: MigrationView, progress: Progress): Promise<void> {
  const isConversion = migration.phase === 'copy-disk' || migration.phase === 'convert-guest';
  // The conversion service knows how far it is; until it has heard of the migration there is nothing to show.
  const work = isConversion
    ? await api
        .get<{ work: WorkView[] }>(`/conversions/${migration.migrationId}`)
        .then((conversion) => conversion.work)
        .catch((error: unknown) => {
          if (error instanceof CliError && error.code === 'CONVERSION_UNKNOWN') return [];
          throw error;
        })
    : migration.work;
  const running = work.filter(({ state }) => state === 'running').at(-1);
  if (running) progress.update(running.progressText || running.kind, running.progressFraction ?? undefined);
}

/** Throws when it did not complete, with why. */
export function expectCompleted({ status, why, migrationId }: MigrationView): void {
  if (status === 'completed') return;
  const next =
    status === 'stalled'
      ? `It waits for a person: mend the cause, then "watari retry ${migrationId}".`
      : 'The source was not changed.';
  throw new CliError(
    why?.code ?? 'MIGRATION_NOT_COMPLETED',
    `The migration is ${status}: ${why?.reason ?? 'no reason is known'} ${next}`,
    EXIT.migrationNotCompleted,
    { migrationId, status },
  );
}

export function describeMigration(migration: MigrationView): string {
  const { assignment, itinerary, doneCount, status, why } = migration;
  const from = assignment.source.hostId ?? assignment.source.disk.path;
  const way = itinerary.map((phase, index) => (index < doneCount ? `✓ ${phase}` : phase)).join(' → ');
  return [
    `Migration ${migration.migrationId} (${assignment.kind}): ${status}`,
    `  ${from} → ${assignment.targetHostId}`,
    `  ${way}`,
    ...(why ? [`  ${why.code}: ${why.reason}`] : []),
    ...figuresOf(migration).map((line) => `  ${line}`),
  ].join('\n');
}

function figuresOf({ results }: MigrationView): string[] {
  const { guestBytes, wireBytes, downtimeMs, rounds } = results['switch-over'] ?? {};
  if (typeof guestBytes !== 'number' || typeof wireBytes !== 'number') return [];
  const downtime =
    typeof downtimeMs === 'number' ? `${Math.round(downtimeMs)} ms from STOP to RESUME` : 'not known';
  return [
    `downtime ${downtime}; ${String(rounds)} rounds; ${bytesInWords(guestBytes)} read from the guest, ${bytesInWords(wireBytes)} on the wire`,
  ];
}

export function describeJournal(events: readonly JournalView[]): string {
  const first = events[0];
  if (!first) return 'No event of this migration has arrived yet.';
  const began = Date.parse(first.time);
  return table(
    events.map(({ time, source, type, data }) => [
      `+${((Date.parse(time) - began) / 1000).toFixed(2)} s`,
      source,
      type,
      gistOf(data),
    ]),
  );
}

/** The few fields of an event that tell it from others of its type. */
function gistOf(data: Readonly<Record<string, unknown>>): string {
  const { phase, step, attempt, readiness, verdict, code, kind, copiedBytes, steps, willRetry } = data;
  return [
    phase ?? step ?? kind,
    typeof attempt === 'number' && attempt > 1 ? `attempt ${attempt}` : undefined,
    readiness ?? verdict ?? code,
    typeof copiedBytes === 'number' ? bytesInWords(copiedBytes) : undefined,
    Array.isArray(steps) ? `${steps.length} steps` : undefined,
    willRetry === true ? 'will be tried again' : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}
