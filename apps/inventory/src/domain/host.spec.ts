import { specificationOf } from '@watari/event-sourcing/testing';
import { type HostEvent, type RegisterHost, host } from './host';

const register: RegisterHost = {
  type: 'RegisterHost',
  data: {
    agentUrl: 'https://127.0.0.1:7443',
    data: { host: '127.0.0.1', port: 7444 },
    platform: 'kvm',
    hypervisorVersion: '10.0.2',
    accelerator: 'tcg',
    cpuSockets: 1,
    cpuCores: 2,
    memoryMiB: 8192,
    at: '2026-01-01T00:00:00.000Z',
  },
};
const registered: HostEvent = { type: 'HostRegistered', data: register.data };
const spec = specificationOf(host);

describe('host', () => {
  it('is registered with what its agent answered', () => spec.given([]).when(register).then([registered]));

  it('is not recorded again while the answer stays the same', () => {
    spec
      .given([registered])
      .when({ ...register, data: { ...register.data, at: '2026-02-01T00:00:00.000Z' } })
      .then([]);
  });

  it.each([
    ['its agent moved', { agentUrl: 'https://127.0.0.1:8443' }],
    ['its data port changed', { data: { host: '127.0.0.1', port: 9 } }],
    ['its hypervisor was updated', { hypervisorVersion: '10.1.0' }],
    ['its memory was extended', { memoryMiB: 16384 }],
  ])('is recorded again when %s', (_what, change) => {
    const again = { ...register, data: { ...register.data, ...change } };
    spec
      .given([registered])
      .when(again)
      .then([{ type: 'HostRegistered', data: again.data }]);
  });
});
