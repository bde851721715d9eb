export { imageConversionService } from './service.module';
