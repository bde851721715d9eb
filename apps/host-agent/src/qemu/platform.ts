import {
  type Accelerator,
  type HostTools,
  QEMU_VERSION_MIN,
  probeAccelerator,
  qemuDataDirs,
} from '@watari/host-tools';

import { AgentError } from '../errors';

/** What this host's QEMU is and can; found once, when the agent starts. */
export interface QemuPlatform {
  readonly tools: HostTools;
  readonly qemuVersion: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly acceleratorReason: string;
  /** Newest versioned machine type of each family, such as `pc-q35-10.0`. */
  readonly newestMachineTypes: Readonly<Record<'pc' | 'q35', string>>;
  readonly machineTypes: ReadonlySet<string>;
  /** `-L` folders when QEMU does not come from the system. */
  readonly firmwareFolders: readonly string[];
}

/** Throws QEMU_TOO_OLD, QEMU_TOO_OLD_FOR_TCG, or what host-tools throws when there is no QEMU. */
export async function examinePlatform(tools: HostTools, wanted?: 'kvm' | 'tcg'): Promise<QemuPlatform> {
  const [{ accelerator, reason, qemuVersion }, firmwareFolders] = await Promise.all([
    wanted === undefined ? probeAccelerator(tools) : named(tools, wanted),
    qemuDataDirs(tools),
  ]);
  refuseOldQemu(qemuVersion, accelerator);
  const { stdout } = await tools.run('qemu-system-x86_64', ['-machine', 'help'], { timeoutMs: 30_000 });
  return {
    tools,
    qemuVersion,
    accelerator,
    acceleratorReason: reason,
    firmwareFolders,
    ...readMachineTypes(stdout.toString('utf8')),
  };
}

async function named(tools: HostTools, accelerator: 'kvm' | 'tcg'): Promise<Accelerator> {
  const { version = 'unknown' } = await tools.resolve('qemu-system-x86_64');
  return { accelerator, reason: 'it was named at the start', qemuVersion: version };
}

/**
 * Below 9.0 software emulation loses writes of a guest that migrates. Under KVM the agent needs what came by then
 * too: the target's agreement to switch over, and a bandwidth for the estimate that is ours to name.
 */
export function refuseOldQemu(version: string, accelerator: 'kvm' | 'tcg'): void {
  const major = Number(/^(\d+)\./.exec(version)?.[1] ?? Number.NaN);
  if (major >= 9) return;
  const remedy = `Install QEMU ${QEMU_VERSION_MIN} or later, on Debian 12 from bookworm-backports ("watari doctor" says how).`;
  if (accelerator === 'tcg')
    throw new AgentError(
      'QEMU_TOO_OLD_FOR_TCG',
      `QEMU ${version} loses writes of guests that move under software emulation. ${remedy}`,
    );
  throw new AgentError('QEMU_TOO_OLD', `QEMU ${version} lacks what moving a running guest needs. ${remedy}`);
}

/** Reads `qemu -machine help`. Throws QEMU_MACHINES_UNKNOWN when the two families are not in it. */
export function readMachineTypes(help: string): Pick<QemuPlatform, 'machineTypes' | 'newestMachineTypes'> {
  const machineTypes = new Set<string>();
  const aliases = new Map<string, string>();
  for (const line of help.split('\n')) {
    const name = /^(\S+)\s/.exec(line)?.[1];
    if (!name) continue;
    machineTypes.add(name);
    const alias = /\(alias of (\S+)\)/.exec(line)?.[1];
    if (alias) aliases.set(name, alias);
  }
  const pc = aliases.get('pc');
  const q35 = aliases.get('q35');
  if (!pc || !q35)
    throw new AgentError(
      'QEMU_MACHINES_UNKNOWN',
      'This QEMU lists no machine types pc and q35; is it qemu-system-x86_64?',
    );
  return { machineTypes, newestMachineTypes: { pc, q35 } };
}
