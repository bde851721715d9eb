import { LicenceAssessmentCompleted } from '@watari/contracts-licensing-compliance';
import { PhaseStarted } from '@watari/contracts-migration-execution';
import { InventoryMirror, inventoryMirrorMigration } from '@watari/inventory-mirror';
import type { ServiceDefinition } from '@watari/service-kit';
import { LicencesController } from './inbound/licences.controller';
import { preflightConsumer } from './inbound/preflight.consumer';
import { LicenceTerms } from './outbound/licence-terms';
import { publishLicensing } from './outbound/licensing.publisher';

/** What must be licensed before, during and after a move, and whether it is. */
export const licensingComplianceService: ServiceDefinition = {
  name: 'licensing-compliance',
  description: 'Watari licensing and compliance: is the move covered',
  topics: [LicenceAssessmentCompleted.topic],
  reads: [...InventoryMirror.topics, PhaseStarted.topic],
  entities: InventoryMirror.entities,
  migrations: (schema) => [inventoryMirrorMigration(schema)],
  create: (context) => {
    const mirror = new InventoryMirror(context);
    const terms = new LicenceTerms(context, mirror);
    return {
      controllers: [LicencesController],
      providers: [
        { provide: InventoryMirror, useValue: mirror },
        { provide: LicenceTerms, useValue: terms },
      ],
      publish: publishLicensing,
      consumers: [mirror.consumer(), preflightConsumer(context, terms)],
    };
  },
};
