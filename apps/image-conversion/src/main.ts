import { runService } from '@watari/service-kit';
import { imageConversionService } from './service.module';

void runService(imageConversionService);
