import { ConversionFailed } from '@watari/contracts-image-conversion';
import { PhaseStarted } from '@watari/contracts-migration-execution';
import { createHostTools } from '@watari/host-tools';
import type { ServiceDefinition } from '@watari/service-kit';
import { ConversionsController } from './inbound/conversions.controller';
import { migrationConsumer } from './inbound/migration.consumer';
import { workJobs } from './inbound/work.jobs';
import { workProjection } from './inbound/work.projection';
import { publishConversion } from './outbound/conversion.publisher';
import { createDiskWorkshop } from './outbound/disk-workshop';

/** Turns a physical server's disk into one that boots on the target, and keeps how to undo it. */
export const imageConversionService: ServiceDefinition = {
  name: 'image-conversion',
  description: 'Watari image conversion: from a physical disk to a bootable guest',
  topics: [ConversionFailed.topic],
  reads: [PhaseStarted.topic],
  entities: [],
  migrations: () => [],
  create: (context) => ({
    controllers: [ConversionsController],
    providers: [],
    publish: publishConversion,
    projections: [workProjection(context.jobs)],
    consumers: [migrationConsumer(context)],
    jobs: workJobs(context, createDiskWorkshop(context.dataFolder, createHostTools())),
  }),
};
