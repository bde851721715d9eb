export { inventoryService } from './service.module';
