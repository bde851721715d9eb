import type { Command } from 'commander';
import type { ApiClient } from '../api-client';
import { type CommandContext, contextOf } from '../context';
import { CliError, EXIT } from '../errors';
import {
  type JournalView,
  type MigrationView,
  describeJournal,
  describeMigration,
  expectCompleted,
  watchMigration,
} from '../migrations';
import { bandwidthOption, downtimeOption, throttleOption } from '../options';
import { table } from '../output';
import type { ServerView } from './inventory';

interface PlanOptions {
  readonly to: string;
  readonly downtimeLimit?: number;
  /** In bytes per second. */
  readonly bandwidth?: number;
  readonly throttle?: number;
  readonly waive?: string[];
  readonly by?: string;
  readonly because?: string;
  readonly until?: string;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function addMigrations(program: Command, signal: AbortSignal): void {
  planOptions(program.command('plan <server>'))
    .description('Plan a migration and print its way; nothing happens until "watari migrate"')
    .action(async (server: string, options: PlanOptions & { to?: string }, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const planned = await plan(await api(), server, options);
      output.result(
        planned,
        `${describeMigration(planned)}\nStart it: watari migrate ${planned.migrationId}`,
      );
    });

  planOptions(program.command('migrate <migrationOrServer>'), false)
    .description('Start a planned migration, or plan and start one for a server (--to), and watch it')
    .option('--no-watch', 'return at once')
    .action(async (what: string, options: Partial<PlanOptions> & { watch: boolean }, command: Command) => {
      const context = contextOf(command, signal);
      const api = await context.api();
      const migrationId =
        UUID.test(what) && !options.to ? what : (await planNow(api, what, options)).migrationId;
      const started = await api.post<MigrationView>(`/migrations/${migrationId}/start`);
      if (options.watch) await watchToEnd(context, api, migrationId);
      else context.output.result(started, `Started ${migrationId}. Follow it: watari watch ${migrationId}`);
    });

  program
    .command('watch <migration>')
    .description('Follow a migration to its end; Ctrl-C stops watching, not the migration')
    .action(async (migrationId: string, _options: object, command: Command) => {
      const context = contextOf(command, signal);
      await watchToEnd(context, await context.api(), idOf(migrationId));
    });

  program
    .command('cancel <migration>')
    .description('Cancel a migration before its point of no return, and roll back')
    .requiredOption('--reason <text>', 'kept in its history')
    .option('--by <person>', 'who decided', process.env['USER'] ?? 'operator')
    .action(async (migrationId: string, { reason, by }: { reason: string; by: string }, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const state = await (
        await api()
      ).post<MigrationView>(`/migrations/${idOf(migrationId)}/cancel`, { reason, by });
      output.result(state, describeMigration(state));
    });

  program
    .command('retry <migration>')
    .description('Let a stalled migration try again where it stopped')
    .option('--by <person>', 'who decided', process.env['USER'] ?? 'operator')
    .action(async (migrationId: string, { by }: { by: string }, command: Command) => {
      const context = contextOf(command, signal);
      const api = await context.api();
      await api.post(`/migrations/${idOf(migrationId)}/retry`, { by });
      await watchToEnd(context, api, migrationId);
    });

  program
    .command('events [migration]')
    .description('Every event of a migration, from all services; without an id, the migrations')
    .action(async (migrationId: string | undefined, _options: object, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const client = await api();
      if (migrationId === undefined) {
        const migrations = await client.get<MigrationLine[]>('/migrations');
        output.result(migrations, listMigrations(migrations));
        return;
      }
      const events = await client.get<JournalView[]>(`/migrations/${idOf(migrationId)}/events`);
      output.result(events, describeJournal(events));
    });
}

interface MigrationLine {
  readonly migrationId: string;
  readonly kind: string;
  readonly targetHostId: string;
  readonly status: string;
  readonly phase: string | null;
  readonly plannedAt: string;
}

function planOptions(command: Command, isToRequired = true): Command {
  const to = ['--to <host>', 'the host to move to'] as const;
  return (isToRequired ? command.requiredOption(...to) : command.option(...to))
    .option(
      '--downtime-limit <ms>',
      'longest pause of a running guest, in milliseconds (default 300)',
      downtimeOption,
    )
    .option(
      '--bandwidth <Mbit/s>',
      "what copying a running guest's memory may take of the link (default all of it)",
      bandwidthOption,
    )
    .option(
      '--throttle <percent>',
      'slow a running guest by up to this share of its time if copying does not converge (default 0)',
      throttleOption,
    )
    .option('--waive <concern...>', 'go on in spite of these concerns (rule id, or licence:PRODUCT)')
    .option('--by <person>', 'who waives them')
    .option('--because <reason>', 'why they are waived')
    .option('--until <time>', 'when the waivers end, as 2026-12-31T00:00:00Z');
}

function planNow(api: ApiClient, server: string, options: Partial<PlanOptions>): Promise<MigrationView> {
  const { to } = options;
  if (!to)
    throw new CliError('HOST_MISSING', `Name the host: watari migrate ${server} --to HOST.`, EXIT.usage);
  return plan(api, server, { ...options, to });
}

export async function plan(api: ApiClient, serverName: string, options: PlanOptions): Promise<MigrationView> {
  const { to, downtimeLimit, bandwidth, throttle, waive = [], by, because, until } = options;
  if (waive.length > 0 && !(by && because && until))
    throw new CliError(
      'WAIVER_INCOMPLETE',
      'A waiver names its person, reason and end: --by, --because and --until.',
      EXIT.usage,
    );
  const { serverId } = await api.get<ServerView>(`/servers/${encodeURIComponent(serverName)}`);
  return api.postSettled<MigrationView>('/migrations', {
    serverId,
    targetHostId: to,
    ...(downtimeLimit !== undefined && { downtimeLimitMs: downtimeLimit }),
    ...(bandwidth !== undefined && { bandwidthBytesPerSecondMax: bandwidth }),
    ...(throttle !== undefined && { throttlePercentMax: throttle }),
    waivers: waive.map((concern) => ({ concern, person: by, reason: because, expiresAt: until })),
  });
}

async function watchToEnd(
  { output, signal }: CommandContext,
  api: ApiClient,
  migrationId: string,
): Promise<void> {
  const end = await watchMigration(api, migrationId, output, signal);
  output.result(end, describeMigration(end));
  expectCompleted(end);
}

function idOf(text: string): string {
  if (!UUID.test(text))
    throw new CliError(
      'MIGRATION_ID_INVALID',
      `"${text}" is no id of a migration; "watari events" lists them.`,
      EXIT.usage,
    );
  return text;
}

function listMigrations(migrations: readonly MigrationLine[]): string {
  if (migrations.length === 0) return 'Nothing was migrated yet: watari plan SERVER --to HOST';
  return table([
    ['MIGRATION', 'KIND', 'TO', 'STATUS', 'PHASE', 'PLANNED'],
    ...migrations.map(({ migrationId, kind, targetHostId, status, phase, plannedAt }) => [
      migrationId,
      kind,
      targetHostId,
      status,
      phase ?? '',
      plannedAt,
    ]),
  ]);
}
