export { supportMatrixService } from './service.module';
