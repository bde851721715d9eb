import { runService } from '@watari/service-kit';
import { inventoryService } from './service.module';

void runService(inventoryService);
