import { join } from 'node:path';
import { describeContracts } from '@watari/contracts-base/testing';
import { migrationExecutionContracts } from './index';

describeContracts(join(__dirname, '..'), migrationExecutionContracts);
