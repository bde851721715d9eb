import { join } from 'node:path';
import { describeContracts } from '@watari/contracts-base/testing';
import { licensingComplianceContracts } from './index';

describeContracts(join(__dirname, '..'), licensingComplianceContracts);
