import { join } from 'node:path';
import { describeContracts } from '@watari/contracts-base/testing';
import { imageConversionContracts } from './index';

describeContracts(join(__dirname, '..'), imageConversionContracts);
