import { join } from 'node:path';
import { describeContracts } from '@watari/contracts-base/testing';
import { supportMatrixContracts } from './index';

describeContracts(join(__dirname, '..'), supportMatrixContracts);
