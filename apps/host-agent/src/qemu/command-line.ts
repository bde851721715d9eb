import { GUEST_CPU_MODEL } from '@watari/host-tools';
import type { GuestDisk, GuestNic, GuestSpec } from '@watari/host-agent-client';

import type { DiskFacts } from './disk-check';

/** What decides how a guest's virtual machine looks; equal on both ends of a move. */
export interface MachineShape {
  /** With its version, such as `pc-q35-10.0`. */
  readonly machineType: string;
  readonly cpuModel: string;
  readonly accelerator: 'kvm' | 'tcg';
}

/**
 * A named and versioned model: `host` and `max` are whatever the host offers, and a guest that saw an instruction
 * must find it wherever it goes. This one is in every x86-64 server since 2009 and in software emulation, and is
 * what current distributions ask for (x86-64-v2).
 */
export const CPU_MODEL = GUEST_CPU_MODEL;

export interface CommandLineParts {
  readonly spec: GuestSpec;
  readonly shape: MachineShape;
  readonly firmwareFolders: readonly string[];
  readonly disks: readonly DiskFacts[];
  /** Overlay files by disk index, for disks whose writes are thrown away. */
  readonly overlays: ReadonlyMap<number, string>;
  readonly qmpSocket: string;
  readonly pidFile: string;
  /** Wait for a migration stream, whose address comes later by QMP. */
  readonly isIncoming: boolean;
}

/** Bytes of console output that QEMU keeps while no agent reads; a power of two. */
export const CONSOLE_RING_BYTES = 65_536;
export const CONSOLE_ID = 'console';

/**
 * QEMU's arguments. The guest always starts paused: the agent first notes that it exists, then lets it run. Order
 * of devices is part of the contract between two agents, as it gives them their places on the bus.
 */
export function qemuArguments(parts: CommandLineParts): string[] {
  const { spec, shape } = parts;
  return [
    ...parts.firmwareFolders.flatMap((folder) => ['-L', folder]),
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-no-shutdown'],
    ...['-name', `guest=watari-${spec.guestId}`],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-msg', 'timestamp=on'],
    ...['-machine', shape.machineType],
    ...['-accel', accelerator(shape.accelerator, spec.vcpus)],
    // A model that the host cannot offer in full is refused at the start, not found out by the guest after a move.
    ...['-cpu', `${shape.cpuModel},enforce`],
    ...['-smp', `${spec.vcpus}`, '-m', `${spec.memoryMiB}M`],
    ...['-qmp', `unix:${optionValue(parts.qmpSocket)},server=on,wait=off`],
    ...['-pidfile', parts.pidFile],
    ...['-chardev', `ringbuf,id=${CONSOLE_ID},size=${CONSOLE_RING_BYTES}`],
    ...['-device', `isa-serial,chardev=${CONSOLE_ID}`],
    ...diskControllers(spec.disks),
    ...spec.disks.flatMap((disk, index) =>
      diskArguments(disk, index, parts.disks[index] ?? { takesDirect: false }, parts.overlays.get(index)),
    ),
    ...spec.nics.flatMap(nicArguments),
    ...(parts.isIncoming ? ['-incoming', 'defer'] : []),
  ];
}

/** Moves under emulation were measured with one vCPU; several take turns on one thread, so that no write is missed. */
function accelerator(kind: 'kvm' | 'tcg', vcpus: number): string {
  if (kind === 'kvm') return 'kvm';
  return vcpus === 1 ? 'tcg' : 'tcg,thread=single';
}

function diskControllers(disks: readonly GuestDisk[]): string[] {
  const controllers: string[] = [];
  if (disks.some(({ bus }) => bus === 'virtio-scsi')) controllers.push('-device', 'virtio-scsi-pci,id=scsi0');
  const ahciCount = disks.filter(({ bus }) => bus === 'ahci').length;
  for (let index = 0; index * AHCI_PORTS < ahciCount; index += 1)
    controllers.push('-device', `ich9-ahci,id=sata${index}`);
  return controllers;
}

const AHCI_PORTS = 6;

function diskArguments(
  disk: GuestDisk,
  index: number,
  facts: DiskFacts,
  overlay: string | undefined,
): string[] {
  const node = `disk${index}`;
  const isBase = overlay !== undefined;
  const base = {
    driver: disk.format,
    'node-name': isBase ? `${node}-base` : node,
    'read-only': isBase,
    discard: 'unmap',
    file: fileNode(disk.path, isBase, facts.takesDirect),
    // The image was checked to have none; naming it keeps QEMU from reading a name that came since.
    ...(disk.format === 'qcow2' && { backing: null }),
  };
  const blockdevs: unknown[] = [base];
  if (overlay !== undefined)
    blockdevs.push({
      driver: 'qcow2',
      'node-name': node,
      'read-only': false,
      file: fileNode(overlay, false, false),
      backing: base['node-name'],
    });
  return [
    ...blockdevs.flatMap((blockdev) => ['-blockdev', JSON.stringify(blockdev)]),
    ...['-device', diskDevice(disk, index)],
  ];
}

function fileNode(filename: string, readOnly: boolean, takesDirect: boolean): Record<string, unknown> {
  return {
    driver: filename.startsWith('/dev/') ? 'host_device' : 'file',
    filename,
    'read-only': readOnly,
    locking: 'on',
    // Past the host's page cache where that is possible: another host may read the same storage a moment later.
    cache: { direct: takesDirect, 'no-flush': false },
  };
}

function diskDevice({ bus }: GuestDisk, index: number): string {
  const common = `drive=disk${index},id=drive${index},bootindex=${index + 1}`;
  switch (bus) {
    case 'virtio-blk':
      return `virtio-blk-pci,${common}`;
    case 'virtio-scsi':
      return `scsi-hd,bus=scsi0.0,scsi-id=${index},lun=0,${common}`;
    case 'ahci':
      return `ide-hd,bus=sata${Math.floor(index / AHCI_PORTS)}.${index % AHCI_PORTS},${common}`;
  }
}

function nicArguments(nic: GuestNic, index: number): string[] {
  // Port 0: the network stack of QEMU picks a free one, and we ask it which.
  const forwards = nic.forwards.map(({ guestPort }) => `,hostfwd=tcp:127.0.0.1:0-:${guestPort}`).join('');
  const model = nic.model === 'virtio-net' ? 'virtio-net-pci' : nic.model;
  return [
    ...['-netdev', `user,id=${netdevId(index)},ipv6=off,restrict=${nic.isolated ? 'on' : 'off'}${forwards}`],
    // No boot ROM: guests boot from disks, and a ROM would have to be the same file on both hosts.
    ...['-device', `${model},netdev=${netdevId(index)},id=nic${index},mac=${nic.mac},romfile=`],
  ];
}

export function netdevId(index: number): string {
  return `net${index}`;
}

/** Commas separate options and are doubled inside a value. */
function optionValue(text: string): string {
  return text.replaceAll(',', ',,');
}
