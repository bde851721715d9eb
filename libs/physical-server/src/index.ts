export { HARDWARE as PHYSICAL_SERVER_HARDWARE, buildPhysicalServer } from './build-physical-server';
export type { BuildOptions, PhysicalServer, PhysicalServerHardware } from './build-physical-server';
export { PhysicalServerError } from './errors';
export type { PhysicalServerErrorCode } from './errors';
export type { ProgressListener } from './progress';
