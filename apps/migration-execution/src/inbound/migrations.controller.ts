import { Controller, Get, Inject, type MessageEvent, Param, Post, Sse } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Cause, loadState, runCommand } from '@watari/event-sourcing';
import {
  ApiCommand,
  CommandBody,
  Problem,
  RequestCause,
  SERVICE_CONTEXT,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { type Migration, type MigrationCommand, migration } from '../domain/migration';
import { JournalEntry, MigrationView } from '../outbound/migration.views';
import type { Observable } from 'rxjs';
import { moveIdOf } from '../outbound/live-phases';
import { MigrationWatch } from './migration-watch';
import { PlanBody, Planner } from './planner';

const OperatorBody = z.strictObject({ by: z.string().min(1).max(200) });
const CancelBody = OperatorBody.extend({ reason: z.string().min(1).max(1000) });
const MigrationAnswer = z.object({
  migrationId: z.string(),
  status: z.string(),
  assignment: z.record(z.string(), z.unknown()),
  itinerary: z.array(z.string()),
  doneCount: z.int(),
  phase: z.string().nullable(),
  attempt: z.int(),
  moveId: z.string().nullable(),
  results: z.record(z.string(), z.unknown()),
  why: z.object({ code: z.string(), reason: z.string() }).optional(),
  work: z.array(z.record(z.string(), z.unknown())),
});
const EVENTS_MAX = 2000;

@ApiTags('migration-execution')
@ApiBearerAuth()
@Controller('migrations')
export class MigrationsController {
  constructor(
    @Inject(SERVICE_CONTEXT) private readonly context: ServiceContext,
    @Inject(Planner) private readonly planner: Planner,
    @Inject(MigrationWatch) private readonly watches: MigrationWatch,
  ) {}

  @Post()
  @ApiOperation({
    summary: 'Plan a migration; nothing happens until it is started.',
    description: 'A server that runs as a guest already moves live, any other cold, by way of conversion.',
  })
  @ApiCommand({ body: PlanBody, answer: MigrationAnswer, status: 201 })
  async plan(
    @CommandBody(PlanBody) body: z.infer<typeof PlanBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    return this.answer(await this.planner.plan(body, cause));
  }

  @Get()
  @ApiOperation({ summary: 'The latest thousand migrations, the newest first.' })
  async list(): Promise<object[]> {
    const views = this.context.dataSource.getRepository(MigrationView);
    return views.find({ order: { plannedAt: 'DESC' }, take: 1000 });
  }

  @Get(':migrationId')
  @ApiOperation({ summary: 'Where a migration stands, with the work under way.' })
  @ApiCommand({ answer: MigrationAnswer })
  get(@Param('migrationId') migrationId: string): Promise<object> {
    return this.answer(migrationId);
  }

  @Post(':migrationId/start')
  @ApiOperation({ summary: 'Start a planned migration.' })
  @ApiCommand({ answer: MigrationAnswer, status: 201 })
  async start(@Param('migrationId') migrationId: string, @RequestCause() cause: Cause): Promise<object> {
    const { assignment } = await this.load(migrationId);
    await this.planner.hold(migrationId, assignment.serverId, cause);
    return this.command(migrationId, { type: 'StartMigration', data: { at: this.at() } }, cause);
  }

  @Post(':migrationId/cancel')
  @ApiOperation({ summary: 'Cancel, and roll back what was done; refused past the point of no return.' })
  @ApiCommand({ body: CancelBody, answer: MigrationAnswer, status: 201 })
  async cancel(
    @Param('migrationId') migrationId: string,
    @CommandBody(CancelBody) body: z.infer<typeof CancelBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    return this.command(migrationId, { type: 'CancelMigration', data: { ...body, at: this.at() } }, cause);
  }

  @Post(':migrationId/retry')
  @ApiOperation({ summary: 'Let a stalled migration try again where it stopped.' })
  @ApiCommand({ body: OperatorBody, answer: MigrationAnswer, status: 201 })
  async retry(
    @Param('migrationId') migrationId: string,
    @CommandBody(OperatorBody) body: z.infer<typeof OperatorBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    return this.command(migrationId, { type: 'RetryMigration', data: { ...body, at: this.at() } }, cause);
  }

  @Get(':migrationId/events')
  @ApiOperation({ summary: 'Every public event of a migration, from all services, in order.' })
  async events(@Param('migrationId') migrationId: string): Promise<object[]> {
    await this.load(migrationId);
    const journal = this.context.dataSource.getRepository(JournalEntry);
    return journal.find({ where: { migrationId }, order: { time: 'ASC', arrival: 'ASC' }, take: EVENTS_MAX });
  }

  @Sse(':migrationId/watch')
  @ApiOperation({
    summary: 'A migration as server-sent events, until it is over.',
    description:
      '`migration` events carry what GET gives, whenever it changed; `move` events where the move of a running guest stands, ten times a second.',
  })
  async watch(@Param('migrationId') migrationId: string): Promise<Observable<MessageEvent>> {
    await this.load(migrationId);
    return this.watches.events(() => this.answer(migrationId));
  }

  private async command(migrationId: string, command: MigrationCommand, cause: Cause): Promise<object> {
    await this.load(migrationId);
    // Everything about a migration goes by its id, whoever asked.
    await runCommand(this.context.store, migration, migrationId, command, {
      ...cause,
      correlationId: migrationId,
    });
    return this.answer(migrationId);
  }

  private async answer(migrationId: string) {
    const state = await this.load(migrationId);
    const { status, assignment, itinerary, doneCount, attempt, results } = state;
    const phase = itinerary[doneCount] ?? null;
    // A switch-over goes on with the move that pre-copy began, whichever attempt that was.
    const begun = results['pre-copy']?.['moveId'];
    const moveId = typeof begun === 'string' ? begun : moveIdOf(migrationId, attempt);
    return {
      migrationId,
      status,
      assignment,
      itinerary,
      doneCount,
      phase,
      attempt,
      moveId: assignment.kind === 'live' ? moveId : null,
      results,
      ...('why' in state && { why: state.why }),
      work: await this.context.jobs.progressOf(`${migrationId}:`),
    };
  }

  private async load(migrationId: string): Promise<Exclude<Migration, { status: 'unplanned' }>> {
    const isId = z.uuid().safeParse(migrationId).success;
    const { state } = await loadState(this.context.store, migration, isId ? migrationId : 'none');
    if (state.status === 'unplanned')
      throw new Problem(404, 'MIGRATION_UNKNOWN', `No migration "${migrationId.slice(0, 100)}" was planned.`);
    return state;
  }

  private at(): string {
    return this.context.now().toISOString();
  }
}
