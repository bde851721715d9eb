export { licensingComplianceService } from './service.module';
