import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Facts, RulePack, compilePack, readinessOf } from './rules';

const pack = RulePack.parse(parse(readFileSync(join(__dirname, '../../packs/kvm.yaml'), 'utf8')));
const evaluate = compilePack(pack);
const facts = {
  now: new Date('2026-11-23T00:00:00Z'),
  server: {
    name: 'web-1',
    memoryMiB: 1024,
    operatingSystem: { id: 'debian12', name: 'Debian 12', version: '12', architecture: 'x86_64' },
    rootFileSystem: 'ext4',
    firmware: 'bios',
    kernels: [{ version: '6.1', hasVirtio: true }],
  },
  host: {
    id: 'host-a',
    accelerator: 'kvm',
    hypervisorVersion: '10.0.2',
    hypervisorMajor: 10,
    memoryMiB: 8192,
  },
  migration: { kind: 'cold' },
};
const withServer = (change: object): Facts => ({ ...facts, server: { ...facts.server, ...change } });
const withHost = (change: object): Facts => ({ ...facts, host: { ...facts.host, ...change } });
const idsOf = (given: Facts) =>
  evaluate(given).map(({ ruleId, severity }) => `${severity} ${ruleId.split('@')[0]}`);

describe('the KVM pack', () => {
  it('has no concern about a Debian 12 server with virtio drivers on a KVM host', () =>
    expect(evaluate(facts)).toEqual([]));

  it.each([
    [
      'another architecture',
      withServer({ operatingSystem: { ...facts.server.operatingSystem, architecture: 'aarch64' } }),
      'critical guest.architecture',
    ],
    [
      'an operating system that was not recognised',
      withServer({ operatingSystem: { ...facts.server.operatingSystem, id: 'unknown' } }),
      'unknown guest.os.unrecognised',
    ],
    [
      'a family the conversion does not know',
      withServer({ operatingSystem: { ...facts.server.operatingSystem, id: 'rhel9' } }),
      'critical guest.os.conversion',
    ],
    ['a root on XFS', withServer({ rootFileSystem: 'xfs' }), 'critical guest.file-system'],
    ['UEFI', withServer({ firmware: 'uefi' }), 'critical guest.firmware'],
    [
      'no virtio driver',
      withServer({ kernels: [{ version: '6.1', hasVirtio: false }] }),
      'warning guest.drivers.virtio-missing',
    ],
    [
      'an old release',
      withServer({ operatingSystem: { ...facts.server.operatingSystem, id: 'debian10' } }),
      'warning guest.os.end-of-life',
    ],
    ['software emulation', withHost({ accelerator: 'tcg' }), 'warning host.accelerator'],
    ['more memory than the host has', withServer({ memoryMiB: 9000 }), 'critical host.memory'],
  ])('speaks up about %s', (_what, given, expected) => expect(idsOf(given)).toEqual([expected]));

  it('refuses the QEMU that loses writes under software emulation, and only there', () => {
    expect(idsOf(withHost({ accelerator: 'tcg', hypervisorMajor: 7 }))).toContain(
      'critical host.hypervisor-version',
    );
    expect(idsOf(withHost({ accelerator: 'kvm', hypervisorMajor: 7 }))).toEqual([]);
  });

  it('does not mind file systems when a guest moves live: nothing is converted', () =>
    expect(idsOf({ ...withServer({ rootFileSystem: 'xfs' }), migration: { kind: 'live' } })).toEqual([]));

  it('counts a missing fact as unknown, never as consent', () => {
    const { host: _host, ...rest } = facts;
    expect(idsOf(rest)).toEqual([
      'unknown host.accelerator',
      'unknown host.hypervisor-version',
      'unknown host.memory',
    ]);
  });

  it('fills its texts with the facts', () =>
    expect(evaluate(withServer({ memoryMiB: 9000 }))[0]?.text).toBe(
      'web-1 needs 9000 MiB of memory; host-a has 8192.',
    ));
});

describe('compiling a pack', () => {
  it('names the rule whose predicate does not parse', () => {
    const [first] = pack.rules;
    expect(() => compilePack({ ...pack, rules: [{ ...first!, when: 'server.name ==' }] })).toThrow(
      'guest.architecture',
    );
  });
});

describe('readiness', () => {
  it.each([
    [[], 'ready'],
    [['information'], 'ready'],
    [['warning', 'information'], 'ready-with-conditions'],
    [['warning', 'unknown'], 'unknown'],
    [['unknown', 'critical'], 'not-ready'],
  ] as const)('of %j is %s', (severities, expected) =>
    expect(readinessOf(severities.map((severity) => ({ severity })))).toBe(expected),
  );
});
