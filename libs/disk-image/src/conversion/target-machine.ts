import type { AgentFamily, DriverNeed, GuestSystem, TargetMachine } from '../adjust';
import { DiskUnusable } from '../errors';
import type { WrittenKindName } from '../formats';
import type { Firmware } from '../guest/firmware';
import type { GuestReader } from '../guest/guest-files';
import { readKernelModules } from '../guest/kernel-modules';
import { listBootKernels } from '../guest/boot-kernels';
import { checkTarget, type KernelFacts, type MachineTarget, type TargetFacts, TARGETS } from '../targets';
import type { MachineTargetName } from './machine-targets';

const AGENT_FAMILIES: Readonly<Record<MachineTargetName, AgentFamily>> = {
  'kvm-virtio': 'qemu',
  'kvm-virtio-scsi': 'qemu',
  'vmware-pvscsi': 'vmware',
  'vmware-lsi': 'vmware',
  'hyperv-gen1': 'hyperv',
  'hyperv-gen2': 'hyperv',
  'virtual-server-2005': 'hyperv',
  'xen-hvm': 'xen',
};
const SERIAL_SPEED = 115_200;
const CONFIG_BYTES_MAX = 4 * 1024 * 1024;

export function machineTarget(name: MachineTargetName): MachineTarget {
  const target = TARGETS[name];
  if (target.kind === 'container') throw new Error(`${name} is no machine.`);
  return target;
}

/** What the adjustments must know of the machine. */
export function targetMachine(
  name: MachineTargetName,
  { firmware, installsAgent }: Pick<TargetMachine, 'firmware' | 'installsAgent'>,
): TargetMachine {
  const { disk, nic, console } = machineTarget(name);
  const required = [...disk.drivers.required, ...nic.drivers.required];
  const wanted = [...disk.drivers.wanted, ...nic.drivers.wanted].filter(
    (driver) => !required.includes(driver),
  );
  return {
    drivers: [...new Set([...wanted, ...required])].map((driver): DriverNeed => ({
      name: driver,
      // The network can wait for the root; what loads it then is the guest's own list of aliases.
      isRequired: disk.drivers.required.includes(driver),
      isLasting: required.includes(driver),
    })),
    firstDisk: disk.guestName,
    consoles: [/^ttyS\d+$/.test(console) ? `${console},${SERIAL_SPEED}` : console, 'tty0'],
    agent: AGENT_FAMILIES[name],
    installsAgent,
    firmware,
    clock: 'utc',
  };
}

/**
 * What speaks against running the guest there. Throws DiskUnusable with the code of what refuses it; answers what may
 * be wrong, for a person.
 */
export async function requireFit(
  name: MachineTargetName,
  files: GuestReader,
  more: {
    readonly system: GuestSystem;
    readonly firmware: Firmware;
    readonly virtualBytes: number;
    readonly nicCount: number;
    readonly imageKind?: WrittenKindName | undefined;
  },
): Promise<string[]> {
  const facts: TargetFacts = {
    system: 'linux',
    architecture: more.system.architecture,
    firmware: more.firmware,
    disks: [{ virtualBytes: more.virtualBytes }],
    nicCount: more.nicCount,
    kernels: await kernelFacts(files),
  };
  const problems = checkTarget(facts, machineTarget(name), more.imageKind);
  const refusals = problems.filter(({ severity }) => severity === 'refusal');
  const [first] = refusals;
  if (first) throw new DiskUnusable(first.code, refusals.map(({ message }) => message).join(' '));
  return problems.map(({ message }) => message);
}

/** The newest last. */
async function kernelFacts(files: GuestReader): Promise<KernelFacts[]> {
  const kernels = await listBootKernels(files);
  kernels.sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }));
  const facts: KernelFacts[] = [];
  for (const { version } of kernels) {
    const modules = await readKernelModules(files, version);
    const config = await files.readText(`/boot/config-${version}`, CONFIG_BYTES_MAX);
    facts.push({
      version,
      ...(modules && { modules: new Set([...modules.paths.keys(), ...modules.builtin]) }),
      ...(config !== undefined && { options: optionsOf(config) }),
    });
  }
  return facts;
}

function optionsOf(config: string): ReadonlySet<string> {
  return new Set([...config.matchAll(/^(CONFIG_[A-Za-z0-9_]+)=[ym]$/gm)].map(([, option = '']) => option));
}
