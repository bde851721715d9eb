import { join } from 'node:path';
import { describeContracts } from '@watari/contracts-base/testing';
import { inventoryContracts } from './index';

describeContracts(join(__dirname, '..'), inventoryContracts);
