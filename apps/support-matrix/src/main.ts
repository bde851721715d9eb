import { runService } from '@watari/service-kit';
import { supportMatrixService } from './service.module';

void runService(supportMatrixService);
