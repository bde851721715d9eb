import type { MoveStatus } from '@watari/host-agent-client';
import type { ApiClient } from './api-client';
import { CliError, EXIT } from './errors';
import { describeMove, moveFraction } from './move-view';
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

const OVER: ReadonlySet<string> = new Set(['completed', 'rolled-back', 'stalled']);
/** In these the move itself is told of, ten times a second. */
const MOVING: ReadonlySet<string> = new Set(['pre-copy', 'switch-over']);
const CONVERSION_POLL_MS = 300;
const CONVERTING: ReadonlySet<string> = new Set(['copy-disk', 'convert-guest']);

/** Follows a migration to its end, showing each phase; resolves with where it ended. Aborting stops watching, not the migration. */
export async function watchMigration(
  api: ApiClient,
  migrationId: string,
  output: Output,
  signal: AbortSignal,
): Promise<MigrationView> {
  const progress = output.progress();
  const conversion = new ConversionProgress(api, migrationId, progress);
  let shown = '';
  let last: MigrationView | undefined;
  try {
    for await (const { event, data } of api.events(`/migrations/${migrationId}/watch`, signal)) {
      if (event === 'move') {
        const move = JSON.parse(data) as MoveStatus;
        const [gist = '', ...details] = describeMove(move);
        progress.update(gist, moveFraction(move), details);
        continue;
      }
      if (event !== 'migration') continue;
      last = JSON.parse(data) as MigrationView;
      const step = `${last.status} ${last.phase ?? ''} ${last.attempt}`;
      if (step !== shown) {
        if (shown) progress.end();
        shown = step;
        const head = headOf(last);
        if (head) output.note(head);
        conversion.follow(last.status === 'running' && CONVERTING.has(last.phase ?? ''));
      }
      if (!isMoving(last)) showWork(last.work, progress);
    }
  } finally {
    conversion.follow(false);
    progress.end();
  }
  signal.throwIfAborted();
  if (last && OVER.has(last.status)) return last;
  throw new CliError(
    'WATCH_ENDED',
    `Watari stopped telling about the migration; it is not over. Go on watching: watari watch ${migrationId}`,
    EXIT.unreachable,
  );
}

function isMoving({ assignment, phase }: MigrationView): boolean {
  return assignment.kind === 'live' && MOVING.has(phase ?? '');
}

/** The conversion service knows how far it is: it is asked while one is under way. */
class ConversionProgress {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly api: ApiClient,
    private readonly migrationId: string,
    private readonly progress: Progress,
  ) {}

  follow(isConverting: boolean): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (isConverting) this.ask();
  }

  private ask(): void {
    const timer = setTimeout(() => {
      void this.api
        .get<{ work: WorkView[] }>(`/conversions/${this.migrationId}`)
        .then(
          ({ work }) => {
            if (this.timer === timer) showWork(work, this.progress);
          },
          // It has not heard of the migration yet, or is away for a moment; the migration itself goes on being told.
          () => undefined,
        )
        .then(() => {
          if (this.timer === timer) this.ask();
        });
    }, CONVERSION_POLL_MS);
    this.timer = timer;
  }
}

function showWork(work: readonly WorkView[], progress: Progress): void {
  const running = work.filter(({ state }) => state === 'running').at(-1);
  if (running) progress.update(running.progressText || running.kind, running.progressFraction ?? undefined);
}

function headOf({ status, phase, doneCount, itinerary, attempt }: MigrationView): string {
  if (status === 'running' && phase)
    return `[${doneCount + 1}/${itinerary.length}] ${phase}${attempt > 1 ? ` (attempt ${attempt})` : ''}`;
  return status === 'rolling-back' ? 'rolling back' : '';
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
