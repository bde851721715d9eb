import type { ServerFacts } from '@watari/contracts-inventory';
import { specificationOf } from '@watari/event-sourcing/testing';
import { type RegisterServer, type ServerEvent, server } from './server';

const facts: ServerFacts = {
  hostname: 'web-1',
  operatingSystem: { id: 'debian12', name: 'Debian GNU/Linux 12', version: '12', architecture: 'x86_64' },
  firmware: 'bios',
  partitionTable: 'mbr',
  disks: [{ path: '/srv/web-1.img', format: 'raw', virtualSizeBytes: 2 ** 31, allocatedBytes: 7e8 }],
  rootFileSystem: 'ext4',
  kernels: [{ version: '6.1.0-40-amd64', hasVirtio: false }],
  nics: [{ mac: '52:54:00:12:34:56', name: 'eth0' }],
  applications: [],
  inspectedAt: '2026-01-01T00:00:00.000Z',
};
const register: RegisterServer = {
  type: 'RegisterServer',
  data: { name: 'web-1', probe: 'tcp:80', memoryMiB: 1024, vcpus: 1, facts, at: '2026-01-01T00:00:00.000Z' },
};
const registered: ServerEvent = { type: 'ServerRegistered', data: register.data };
const later = { ...facts, inspectedAt: '2026-02-01T00:00:00.000Z' };
const changed = { ...later, kernels: [{ version: '6.1.0-41-amd64', hasVirtio: true }] };
const at = '2026-02-01T00:00:00.000Z';
const spec = specificationOf(server);

describe('server', () => {
  it('is registered with what was found on it', () => spec.given([]).when(register).then([registered]));

  it('is registered once, however often it is asked', () => spec.given([registered]).when(register).then([]));

  it('is not renamed by registering its disk again', () =>
    spec
      .given([registered])
      .when({ ...register, data: { ...register.data, name: 'web-2' } })
      .rejects('SERVER_NAMED_OTHERWISE'));

  it('takes a later look that found the same for no news', () =>
    spec
      .given([registered])
      .when({ type: 'RecordFacts', data: { facts: later, at } })
      .then([]));

  it('does not mind the order of keys in facts that came back from the store', () => {
    const reordered = Object.fromEntries(Object.entries(later).reverse()) as ServerFacts;
    spec
      .given([registered])
      .when({ type: 'RecordFacts', data: { facts: reordered, at } })
      .then([]);
  });

  it('records what changed since the last look', () =>
    spec
      .given([registered])
      .when({ type: 'RecordFacts', data: { facts: changed, at } })
      .then([{ type: 'ServerFactsChanged', data: { facts: changed, at } }]));

  it('has no facts before it is registered', () =>
    spec.given([]).when({ type: 'RecordFacts', data: { facts, at } }).rejects('SERVER_UNKNOWN'));
});
