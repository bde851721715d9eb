import { Controller, Get, Inject, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { loadState } from '@watari/event-sourcing';
import { ApiCommand, Problem, SERVICE_CONTEXT, type ServiceContext } from '@watari/service-kit';
import { z } from 'zod';
import { conversion } from '../domain/conversion';

const Disk = z.object({ path: z.string(), format: z.string() });
const ConversionAnswer = z.object({
  migrationId: z.string(),
  replica: Disk.optional(),
  disk: Disk.optional(),
  work: z.array(
    z.object({
      kind: z.string(),
      state: z.string(),
      progressText: z.string(),
      progressFraction: z.number().nullable(),
    }),
  ),
});

@ApiTags('image-conversion')
@ApiBearerAuth()
@Controller('conversions')
export class ConversionsController {
  constructor(@Inject(SERVICE_CONTEXT) private readonly context: ServiceContext) {}

  @Get(':migrationId')
  @ApiOperation({ summary: 'The disks made for a migration, and the work under way.' })
  @ApiCommand({ answer: ConversionAnswer })
  async get(@Param('migrationId') migrationId: string): Promise<object> {
    if (!z.uuid().safeParse(migrationId).success)
      throw new Problem(404, 'CONVERSION_UNKNOWN', 'A conversion goes by the id of its migration.');
    const { state, streamVersion } = await loadState(this.context.store, conversion, migrationId);
    if (streamVersion === 0)
      throw new Problem(404, 'CONVERSION_UNKNOWN', 'Nothing was converted for this migration yet.');
    return {
      migrationId,
      replica: state.replica,
      disk: state.disk,
      work: await this.context.jobs.progressOf(`${migrationId}:`),
    };
  }
}
