import { Controller, Get, Inject, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type DeadLetter, type EventBus, listDeadLetters, replayDeadLetters } from '@watari/event-bus';
import { z } from 'zod';
import { ApiCommand, CommandBody } from './request';

/** The consuming side of the services in this process. */
export interface DeadLetterDesk {
  readonly bus: EventBus;
  /** Every topic that a consumer here reads. */
  readonly topics: readonly string[];
  isOurs(group: string): boolean;
}
export const DEAD_LETTER_DESK = Symbol('DeadLetterDesk');

const ReplayBody = z.strictObject({
  /** Absent: all that were not replayed yet. */
  ids: z.array(z.string().min(1).max(1000)).min(1).max(1000).optional(),
});
const ReplayAnswer = z.object({ replayed: z.int() });

@ApiTags('operations')
@ApiBearerAuth()
@Controller('dead-letters')
export class DeadLettersController {
  constructor(@Inject(DEAD_LETTER_DESK) private readonly desk: DeadLetterDesk) {}

  @Get()
  @ApiOperation({ summary: 'Events that a service here could not handle, with the reason.' })
  async list(): Promise<object[]> {
    return (await this.letters()).map(({ record: _record, offset, ...told }) => ({
      ...told,
      offset: offset.toString(),
    }));
  }

  @Post('replay')
  @ApiOperation({ summary: 'Publish dead letters again, once their cause is mended.' })
  @ApiCommand({ body: ReplayBody, answer: ReplayAnswer, status: 201 })
  async replay(@CommandBody(ReplayBody) { ids }: z.infer<typeof ReplayBody>): Promise<object> {
    let replayed = 0;
    for (const { id, topic } of await this.letters()) {
      if (ids && !ids.includes(id)) continue;
      replayed += (await replayDeadLetters(this.desk.bus, { topic, ids: [id] })).length;
    }
    return { replayed };
  }

  /** Those of groups that are at home here. */
  private async letters(): Promise<DeadLetter[]> {
    const found: DeadLetter[] = [];
    for (const topic of this.desk.topics) {
      const letters = await listDeadLetters(this.desk.bus, { topic });
      found.push(...letters.filter(({ group }) => this.desk.isOurs(group)));
    }
    return found;
  }
}
