import { WRITTEN_KINDS } from '../formats/written-kinds';
import { proofArguments } from './boot-proof';
import { type TargetFacts, checkTarget } from './check-target';
import { TARGET_NAMES } from './target';
import { TARGETS, isTargetName } from './targets';

const GIB = 1024 ** 3;
const MODULES = new Set([
  ...[
    'virtio_pci',
    'virtio_blk',
    'virtio_scsi',
    'virtio_net',
    'sd_mod',
    'vmw_pvscsi',
    'vmxnet3',
    'mptsas',
    'e1000e',
  ],
  ...['hv_vmbus', 'hv_storvsc', 'hv_netvsc', 'ata_piix', 'tulip', 'xen_blkfront', 'xen_netfront'],
]);
const OPTIONS = new Set(['CONFIG_XEN_PV', 'CONFIG_XEN_PVH', 'CONFIG_XEN_PVHVM']);

/** A Debian server that every target but the oldest takes. */
const SERVER: TargetFacts = {
  system: 'linux',
  architecture: 'x86_64',
  firmware: 'bios',
  disks: [{ virtualBytes: 40 * GIB }],
  nicCount: 2,
  cpuCount: 4,
  memoryBytes: 8 * GIB,
  kernels: [{ version: '6.1.0-9-amd64', modules: MODULES, options: OPTIONS }],
};

const refusals = (facts: TargetFacts, name: keyof typeof TARGETS): string[] =>
  checkTarget(facts, TARGETS[name])
    .filter(({ severity }) => severity === 'refusal')
    .map(({ code }) => code);

describe('the table of targets', () => {
  it('has every name once, under itself', () => {
    expect(Object.keys(TARGETS).sort()).toEqual([...TARGET_NAMES].sort());
    for (const name of TARGET_NAMES) expect(TARGETS[name].name).toBe(name);
    expect(isTargetName('kvm-virtio')).toBe(true);
    expect(isTargetName('constructor')).toBe(false);
  });

  it('writes modules as the kernel lists them, with underscores', () => {
    for (const target of Object.values(TARGETS)) {
      if (target.kind === 'container') continue;
      const { disk, nic } = target;
      for (const drivers of [disk.drivers, nic.drivers]) {
        expect(drivers.required.length).toBeGreaterThan(0);
        for (const name of [...drivers.required, ...drivers.wanted]) expect(name).toMatch(/^[a-z0-9_]+$/);
        expect(drivers.wanted.filter((name) => drivers.required.includes(name))).toEqual([]);
      }
    }
  });

  it('names images that are written, of which one holds the largest disk that it takes', () => {
    for (const { imageKinds, limits, kind } of Object.values(TARGETS)) {
      if (kind !== 'container') expect(imageKinds.length).toBeGreaterThan(0);
      const largest = Math.max(0, ...imageKinds.map((name) => WRITTEN_KINDS[name].virtualBytesMax));
      if (imageKinds.length > 0 && limits.virtualBytesMax !== undefined)
        expect(largest).toBeGreaterThanOrEqual(limits.virtualBytesMax);
    }
  });

  it('removes no agents of the platform itself', () => {
    expect(TARGETS['kvm-virtio'].agents.remove).not.toContain('qemu');
    expect(TARGETS['vmware-pvscsi'].agents.remove).not.toContain('vmware');
    expect(TARGETS['hyperv-gen1'].agents.remove).not.toContain('hyperv');
    expect(TARGETS['xen-pv'].agents.remove).not.toContain('xen');
  });
});

describe('checking a server for a target', () => {
  it.each(TARGET_NAMES.filter((name) => !['hyperv-gen2', 'virtual-server-2005'].includes(name)))(
    'finds nothing against an ordinary server on %s',
    (name) => expect(refusals(SERVER, name)).toEqual([]),
  );

  it('takes a UEFI server where there is UEFI, or where firmware does not matter', () => {
    const server: TargetFacts = { ...SERVER, firmware: 'uefi' };
    for (const name of [
      'hyperv-gen2',
      'kvm-virtio',
      'vmware-pvscsi',
      'xen-hvm',
      'xen-pv',
      'container-openvz',
    ] as const)
      expect(refusals(server, name)).toEqual([]);
    for (const name of ['hyperv-gen1', 'virtual-server-2005'] as const)
      expect(refusals(server, name)).toContain('TARGET_FIRMWARE_UNSUPPORTED');
    expect(refusals(SERVER, 'hyperv-gen2')).toEqual(['TARGET_FIRMWARE_UNSUPPORTED']);
  });

  it('refuses for Virtual Server 2005 what it cannot run, all of it at once', () => {
    const server: TargetFacts = {
      ...SERVER,
      firmware: 'uefi',
      disks: Array.from({ length: 5 }, () => ({ virtualBytes: 128 * GIB })),
      nicCount: 5,
    };
    expect(refusals(server, 'virtual-server-2005').sort()).toEqual([
      'TARGET_ARCHITECTURE_UNSUPPORTED',
      'TARGET_DISK_TOO_LARGE',
      'TARGET_FIRMWARE_UNSUPPORTED',
      'TARGET_TOO_MANY_CPUS',
      'TARGET_TOO_MANY_DISKS',
      'TARGET_TOO_MANY_NICS',
      'TARGET_TOO_MUCH_MEMORY',
    ]);
    const old: TargetFacts = {
      ...SERVER,
      architecture: 'i386',
      disks: [{ virtualBytes: 127 * GIB }],
      cpuCount: 1,
      memoryBytes: 3 * GIB,
    };
    expect(refusals(old, 'virtual-server-2005')).toEqual([]);
  });

  it('refuses Windows where there is no machine for it', () => {
    const windows: TargetFacts = { ...SERVER, system: 'windows', kernels: [] };
    for (const name of ['xen-pv', 'xen-pvh', 'container-virtuozzo', 'container-solaris-lx'] as const)
      expect(refusals(windows, name)).toContain('TARGET_SYSTEM_UNSUPPORTED');
    for (const name of ['kvm-virtio', 'hyperv-gen1', 'xen-hvm'] as const)
      expect(refusals(windows, name)).toEqual([]);
  });

  it('refuses a kernel without the driver of the disk, and warns of an older one or of the NIC', () => {
    const bare = new Set([...MODULES].filter((name) => name !== 'vmw_pvscsi'));
    const newest = { version: '6.1.0-9-amd64', modules: MODULES, options: OPTIONS };
    const one: TargetFacts = { ...SERVER, kernels: [{ ...newest, modules: bare }] };
    expect(refusals(one, 'vmware-pvscsi')).toEqual(['TARGET_DRIVER_MISSING']);
    const older: TargetFacts = {
      ...SERVER,
      kernels: [{ ...newest, version: '5.10', modules: bare }, newest],
    };
    expect(checkTarget(older, TARGETS['vmware-pvscsi'])).toMatchObject([
      {
        code: 'TARGET_DRIVER_MISSING',
        severity: 'warning',
        message: expect.stringContaining('5.10') as string,
      },
    ]);
    const mute = new Set([...MODULES].filter((name) => name !== 'virtio_net'));
    const silent: TargetFacts = { ...SERVER, kernels: [{ ...newest, modules: mute }] };
    expect(checkTarget(silent, TARGETS['kvm-virtio'])).toMatchObject([
      { code: 'TARGET_DRIVER_MISSING', severity: 'warning' },
    ]);
  });

  it('refuses a kernel that was not built for the hypervisor', () => {
    const kernels = [{ version: '6.1', modules: MODULES, options: new Set(['CONFIG_XEN_PVHVM']) }];
    expect(refusals({ ...SERVER, kernels }, 'xen-pv')).toEqual(['TARGET_KERNEL_UNSUPPORTED']);
    expect(refusals({ ...SERVER, kernels }, 'xen-hvm')).toEqual([]);
    expect(refusals({ ...SERVER, kernels: [] }, 'kvm-virtio')).toEqual(['TARGET_KERNEL_UNSUPPORTED']);
    expect(refusals({ ...SERVER, kernels: [] }, 'container-openvz')).toEqual([]);
  });

  it('says what it does not know instead of passing it over', () => {
    const vague: TargetFacts = {
      system: 'linux',
      architecture: 'unknown',
      firmware: 'unknown',
      disks: [],
      kernels: [{ version: '6.1' }],
    };
    const codes = checkTarget(vague, TARGETS['kvm-virtio']).map(
      ({ code, severity }) => `${severity} ${code}`,
    );
    expect(codes).toEqual([
      'warning TARGET_NOT_KNOWN',
      'warning TARGET_NOT_KNOWN',
      'warning TARGET_NOT_KNOWN',
    ]);
    const other = checkTarget({ ...vague, system: 'other' }, TARGETS['kvm-virtio']);
    expect(other[0]).toMatchObject({ code: 'TARGET_NOT_KNOWN', severity: 'warning' });
  });

  it('refuses an image that the platform does not take, and says which it does', () => {
    const [first] = checkTarget(SERVER, TARGETS['hyperv-gen2'], 'vhd').filter(
      ({ code }) => code === 'TARGET_IMAGE_KIND_UNSUPPORTED',
    );
    expect(first?.message).toContain('vhdx');
    const [tree] = checkTarget(SERVER, TARGETS['container-openvz'], 'raw');
    expect(tree).toMatchObject({ code: 'TARGET_IMAGE_KIND_UNSUPPORTED' });
    expect(checkTarget(SERVER, TARGETS['kvm-virtio'], 'qcow2')).toEqual([]);
  });

  it('says where no boot can be tried before the switch', () => {
    for (const name of ['hyperv-gen2', 'xen-pv', 'container-openvz', 'hyperv-gen1'] as const)
      expect(checkTarget(SERVER, TARGETS[name]).map(({ code }) => code)).toContain('TARGET_NOT_PROVEN');
    expect(checkTarget(SERVER, TARGETS['kvm-virtio'])).toEqual([]);
  });
});

describe('the machine for a boot proof', () => {
  const machine = { driveId: 'disk0', nics: [{ netdevId: 'net0', mac: '52:54:00:00:00:01' }] };

  it('has the hardware of the target', () => {
    expect(proofArguments(TARGETS['kvm-virtio-scsi'], machine)).toEqual([
      ...['-machine', 'q35', '-cpu', 'max'],
      ...['-device', 'virtio-scsi-pci,id=scsi0', '-device', 'scsi-hd,drive=disk0,bus=scsi0.0'],
      ...['-device', 'virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01'],
    ]);
    expect(proofArguments(TARGETS['xen-pv'], machine)).toBeUndefined();
  });

  it('takes no ids and addresses that would say more than that', () => {
    const hardware = TARGETS['kvm-virtio'];
    expect(() => proofArguments(hardware, { ...machine, driveId: 'a,b=c' })).toThrow(RangeError);
    expect(() => proofArguments(hardware, { ...machine, nics: [{ netdevId: 'n', mac: 'x' }] })).toThrow(
      RangeError,
    );
  });
});
