import { runService } from '@watari/service-kit';
import { migrationExecutionService } from './service.module';

void runService(migrationExecutionService);
