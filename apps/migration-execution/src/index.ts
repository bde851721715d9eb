export { migrationExecutionService } from './service.module';
