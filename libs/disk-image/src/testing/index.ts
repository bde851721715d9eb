export { KERNEL, MAC, makeFakeServer } from './fake-server';
export type { FakeServerOptions } from './fake-server';
