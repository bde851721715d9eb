import type { GuestSpec } from '@watari/host-agent-client';

import { countCores } from '../host-facts';
import { CPU_MODEL, qemuArguments } from './command-line';
import { readMachineTypes, refuseOldQemu } from './platform';
import { readForwards, readUsernet } from './usernet';

const HELP = `Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)
pc-i440fx-10.0       Standard PC (i440FX + PIIX, 1996) (default)
pc-i440fx-9.2        Standard PC (i440FX + PIIX, 1996)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-10.0)
pc-q35-10.0          Standard PC (Q35 + ICH9, 2009)
`;

const USERNET = `Hub -1 (net0):\r
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r
  TCP[ESTABLISHED]   15       127.0.0.1 42523       10.0.2.15    80     0     0\r
  TCP[HOST_FORWARD]  10       127.0.0.1 42523       10.0.2.15    80     0     0\r
  TCP[HOST_FORWARD]   9       127.0.0.1 40245       10.0.2.15    22     0     0\r
  UDP[236 sec]       18       10.0.2.15 40000        10.0.2.3    53     0     0\r
`;

function args(change: Partial<GuestSpec>, overlays = new Map<number, string>()): string[] {
  return qemuArguments({
    spec: { guestId: 'g', memoryMiB: 64, vcpus: 1, machine: 'pc', disks: [], nics: [], ...change },
    shape: { machineType: 'pc-i440fx-10.0', cpuModel: CPU_MODEL, accelerator: 'tcg' },
    firmwareFolders: [],
    disks: (change.disks ?? []).map(() => ({ takesDirect: true })),
    overlays,
    qmpSocket: '/state/run/a,b.qmp',
    pidFile: '/state/qemu.pid',
    isIncoming: false,
  });
}

function valuesOf(option: string, all: string[]): string[] {
  return all.flatMap((arg, index) => (all[index - 1] === option ? [arg] : []));
}

describe('QEMU arguments', () => {
  it('names machine type and processor with their versions, and starts paused', () => {
    const all = args({});
    expect(valuesOf('-machine', all)).toEqual(['pc-i440fx-10.0']);
    expect(valuesOf('-cpu', all)).toEqual(['Nehalem-v1,enforce']);
    expect(all).toContain('-S');
    expect(all).not.toContain('-incoming');
  });

  it('lets several vCPUs take turns under software emulation', () => {
    expect(valuesOf('-accel', args({ vcpus: 1 }))).toEqual(['tcg']);
    expect(valuesOf('-accel', args({ vcpus: 2 }))).toEqual(['tcg,thread=single']);
  });

  it('names the format of a disk, and no path can become an option', () => {
    const path = '/disks/a,b",format=qcow2.raw';
    const all = args({ disks: [{ path, format: 'raw', bus: 'virtio-blk' }] });
    const [blockdev] = valuesOf('-blockdev', all).map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(blockdev).toMatchObject({
      driver: 'raw',
      'read-only': false,
      file: { filename: path, locking: 'on' },
    });
    expect(valuesOf('-qmp', all)).toEqual(['unix:/state/run/a,,b.qmp,server=on,wait=off']);
  });

  it('opens a throw-away disk read-only below an overlay', () => {
    const disks: GuestSpec['disks'] = [{ path: '/d.qcow2', format: 'qcow2', bus: 'ahci', snapshot: true }];
    const [base, overlay] = valuesOf('-blockdev', args({ disks }, new Map([[0, '/o.qcow2']]))).map(
      (text) => JSON.parse(text) as Record<string, unknown>,
    );
    expect(base).toMatchObject({ 'read-only': true, backing: null, file: { 'read-only': true } });
    expect(overlay).toMatchObject({ 'node-name': 'disk0', backing: 'disk0-base', 'read-only': false });
  });

  it('gives the seventh SATA disk a second controller', () => {
    const disks = Array.from({ length: 7 }, (_, index) => ({
      path: `/${index}.raw`,
      format: 'raw' as const,
      bus: 'ahci' as const,
    }));
    const devices = valuesOf('-device', args({ disks }));
    expect(devices.filter((device) => device.startsWith('ich9-ahci'))).toHaveLength(2);
    expect(devices.at(-1)).toMatch(/^ide-hd,bus=sata1\.0,/);
  });

  it('cuts an isolated guest off and forwards its ports on loopback', () => {
    const nics: GuestSpec['nics'] = [
      { model: 'virtio-net', mac: '52:54:00:00:00:01', isolated: true, forwards: [{ guestPort: 80 }] },
    ];
    const [netdev] = valuesOf('-netdev', args({ nics }));
    expect(netdev).toContain('restrict=on');
    expect(netdev).toContain('hostfwd=tcp:127.0.0.1:0-:80');
  });
});

describe('what QEMU tells', () => {
  it('is read for forwards and connections', () => {
    expect(readForwards(USERNET)).toEqual([
      { guestPort: 22, hostPort: 40_245 },
      { guestPort: 80, hostPort: 42_523 },
    ]);
    expect(readUsernet(USERNET)[0]).toEqual({ state: 'ESTABLISHED', hostPort: 42_523, guestPort: 80 });
  });

  it('is read for the newest machine types', () => {
    const { newestMachineTypes, machineTypes } = readMachineTypes(HELP);
    expect(newestMachineTypes).toEqual({ pc: 'pc-i440fx-10.0', q35: 'pc-q35-10.0' });
    expect(machineTypes.has('pc-i440fx-9.2')).toBe(true);
    expect(() => readMachineTypes('none')).toThrow(/machine types pc and q35/);
  });

  it('refuses versions that lose writes', () => {
    expect(() => refuseOldQemu('7.2.22', 'tcg')).toThrow(
      expect.objectContaining({ code: 'QEMU_TOO_OLD_FOR_TCG' }),
    );
    expect(() => refuseOldQemu('8.2.0', 'kvm')).toThrow(expect.objectContaining({ code: 'QEMU_TOO_OLD' }));
    expect(() => refuseOldQemu('unknown', 'tcg')).toThrow();
    expect(() => refuseOldQemu('9.0.0', 'tcg')).not.toThrow();
    expect(() => refuseOldQemu('10.0.2', 'kvm')).not.toThrow();
  });
});

describe('host facts', () => {
  const thread = (socket: number, core: number) =>
    `processor : 0\nphysical id\t: ${socket}\ncore id\t\t: ${core}\n`;

  it('count a core with two threads once', () => {
    const info = [thread(0, 0), thread(0, 0), thread(0, 1), thread(1, 0)].join('\n');
    expect(countCores(info, 4)).toEqual({ cpuSockets: 2, cpuCores: 3 });
  });

  it('take threads for cores where no sockets are named', () => {
    expect(countCores('processor : 0\n\nprocessor : 1\n', 2)).toEqual({ cpuSockets: 1, cpuCores: 2 });
  });
});
