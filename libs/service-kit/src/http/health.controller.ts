import { Controller, Get, Inject } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { Problem } from './problem';

/** Each names one thing that must work for a service to do its job; `check` rejects when it does not. */
export interface ReadinessCheck {
  readonly name: string;
  check(): Promise<void>;
}
export const READINESS_CHECKS = Symbol('ReadinessChecks');

@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(@Inject(READINESS_CHECKS) private readonly checks: readonly ReadinessCheck[]) {}

  @Get('live')
  @ApiOperation({ summary: 'The process runs.' })
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Database and bus answer, and work is being done.' })
  async ready(): Promise<{ status: 'ready'; checks: string[] }> {
    const outcomes = await Promise.allSettled(this.checks.map(({ check }) => check()));
    const failed = outcomes.flatMap((outcome, index) =>
      outcome.status === 'rejected'
        ? [{ field: this.checks[index]?.name ?? '', message: String(outcome.reason).slice(0, 300) }]
        : [],
    );
    if (failed.length > 0)
      throw new Problem(503, 'NOT_READY', failed.map(({ field }) => field).join(', '), failed);
    return { status: 'ready', checks: this.checks.map(({ name }) => name) };
  }
}
