import { PhaseStarted } from '@watari/contracts-migration-execution';
import { SupportAssessmentCompleted } from '@watari/contracts-support-matrix';
import { InventoryMirror, inventoryMirrorMigration } from '@watari/inventory-mirror';
import type { ServiceDefinition } from '@watari/service-kit';
import { preflightConsumer } from './inbound/preflight.consumer';
import { SupportAssessmentsController } from './inbound/support-assessments.controller';
import { SupportRules } from './outbound/support-rules';
import { publishSupport } from './outbound/support.publisher';

/** May this server run there: what vendors say, what is technically true, what mends it. */
export const supportMatrixService: ServiceDefinition = {
  name: 'support-matrix',
  description: 'Watari support matrix: may this server run there',
  topics: [SupportAssessmentCompleted.topic],
  reads: [...InventoryMirror.topics, PhaseStarted.topic],
  entities: InventoryMirror.entities,
  migrations: (schema) => [inventoryMirrorMigration(schema)],
  create: (context) => {
    const mirror = new InventoryMirror(context);
    const rules = new SupportRules(mirror);
    return {
      controllers: [SupportAssessmentsController],
      providers: [
        { provide: InventoryMirror, useValue: mirror },
        { provide: SupportRules, useValue: rules },
      ],
      publish: publishSupport,
      consumers: [mirror.consumer(), preflightConsumer(context, rules)],
    };
  },
};
