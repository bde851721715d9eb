import { randomUUID } from 'node:crypto';
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Concern } from '@watari/contracts-support-matrix';
import { type Cause, loadState, runCommand } from '@watari/event-sourcing';
import { InventoryMirror } from '@watari/inventory-mirror';
import {
  ApiCommand,
  CommandBody,
  Problem,
  RequestCause,
  SERVICE_CONTEXT,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { assessment } from '../domain/assessment';
import { SupportRules } from '../outbound/support-rules';

const AssessBody = z.strictObject({
  serverId: z.uuid(),
  targetHostId: z.string().min(1).max(200),
  kind: z.enum(['cold', 'live']).default('cold'),
});
const AssessAnswer = z.object({
  assessmentId: z.string(),
  readiness: z.enum(['ready', 'ready-with-conditions', 'unknown', 'not-ready']),
  concerns: z.array(Concern),
});

@ApiTags('support-matrix')
@ApiBearerAuth()
@Controller('support-assessments')
export class SupportAssessmentsController {
  constructor(
    @Inject(SERVICE_CONTEXT) private readonly context: ServiceContext,
    @Inject(SupportRules) private readonly rules: SupportRules,
    @Inject(InventoryMirror) private readonly mirror: InventoryMirror,
  ) {}

  @Post()
  @ApiOperation({ summary: 'May this server run on that host? The answer is recorded and published.' })
  @ApiCommand({ body: AssessBody, answer: AssessAnswer, status: 201 })
  async assess(
    @CommandBody(AssessBody) { serverId, targetHostId, kind }: z.infer<typeof AssessBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    if (!(await this.mirror.findServer(serverId)))
      throw new Problem(404, 'SERVER_UNKNOWN', `No server ${serverId} is known here; register it first.`);
    if (!(await this.mirror.findHost(targetHostId)))
      throw new Problem(404, 'HOST_UNKNOWN', `No host "${targetHostId}" is known here; register it first.`);
    const now = this.context.now();
    const concerns = await this.rules.concernsOf({ serverId, hostId: targetHostId, kind, now });
    const assessmentId = randomUUID();
    const data = {
      serverId,
      platform: 'kvm' as const,
      virtualization: 'full' as const,
      concerns,
      at: now.toISOString(),
    };
    await runCommand(this.context.store, assessment, assessmentId, { type: 'Assess', data }, cause);
    return this.get(assessmentId);
  }

  @Get(':assessmentId')
  @ApiOperation({ summary: 'What was answered; for a migration, under its id.' })
  @ApiCommand({ answer: AssessAnswer })
  async get(@Param('assessmentId') assessmentId: string): Promise<object> {
    const { state } = await loadState(this.context.store, assessment, assessmentId.slice(0, 100) || 'none');
    if (state.status === 'open')
      throw new Problem(404, 'ASSESSMENT_UNKNOWN', 'No assessment of this id was made.');
    const { status: _status, ...answered } = state;
    return { assessmentId, ...answered };
  }
}
