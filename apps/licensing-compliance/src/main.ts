import { runService } from '@watari/service-kit';
import { licensingComplianceService } from './service.module';

void runService(licensingComplianceService);
