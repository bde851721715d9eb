import type { DeviceNames } from '../guest/device-names';
import type { GuestReader } from '../guest/guest-files';
import type { GuestSystem } from './system/guest-system';
import type { NicMapping } from '../conversion/nic-mapping';

/** What a guest's file becomes. Paths are absolute and inside of the guest; symlinks in them are followed there. */
export interface FileEdit {
  readonly path: string;
  /** `write`: all of the file, which is made where it is not there. `append`: on a multiple of four behind its end. */
  readonly kind: 'write' | 'append';
  readonly content: Buffer;
  /** One sentence for the manifest. */
  readonly reason: string;
}

/** Something that a step saw and did not do. */
export interface LeftUndone {
  readonly subject: string;
  /** Why, and what a person should do about it. */
  readonly reason: string;
}

export interface StepPlan {
  readonly edits: readonly FileEdit[];
  readonly leftUndone: readonly LeftUndone[];
}

/** A NIC's addresses on the server and on the target; its name, where the caller knows it. */
export interface AdjustNic extends NicMapping {
  readonly name?: string;
}

export interface DriverNeed {
  readonly name: string;
  /** Without it the guest does not reach its disk. */
  readonly isRequired: boolean;
  /** Named in the guest's own settings, too, so that its next initramfs has it. */
  readonly isLasting: boolean;
}

/** Agents that guests have for their hypervisor. */
export type AgentFamily = 'qemu' | 'vmware' | 'hyperv' | 'xen' | 'virtualbox' | 'parallels';

/** What the steps must know of the machine that the guest comes to. */
export interface TargetMachine {
  readonly drivers: readonly DriverNeed[];
  /** What the kernel calls the disk there: `vda`, `sda`, `xvda`. */
  readonly firstDisk: string;
  /** Values of `console=` that work there, the one of /dev/console last: `['ttyS0,115200', 'tty0']`. */
  readonly consoles: readonly string[];
  /** Whose agent the guest keeps or gets; without one, agents of every hypervisor are switched off. */
  readonly agent?: AgentFamily;
  /** May the guest install its agent from its own package sources at first boot? */
  readonly installsAgent: boolean;
  readonly firmware: 'bios' | 'uefi';
  /** What the target's hardware clock shows when the guest starts. */
  readonly clock: 'utc' | 'local';
}

export interface AdjustContext {
  readonly files: GuestReader;
  readonly system: GuestSystem;
  readonly devices: DeviceNames;
  /** Lower-case addresses. */
  readonly nics: readonly AdjustNic[];
  readonly target: TargetMachine;
  /** More units to switch off than those of known agents, by their names: `acme-hwmon.service`. */
  readonly unitsOff?: readonly string[];
  /** Whether what writes to the guest can write a file of that name; default: names without blanks and signs. */
  readonly isWritableName?: (name: string) => boolean;
  /** Files that earlier steps change, by their paths without symlinks. */
  readonly edited: ReadonlyMap<string, Buffer>;
  /** Those of them that were not there before. */
  readonly created: ReadonlySet<string>;
}

/**
 * One adjustment of a guest. It only reads; the same guest gives the same plan, and a guest with the plan carried
 * out gives an empty one. Rejects with DiskUnusable where the guest could not start without what it cannot do.
 */
export interface AdjustStep {
  readonly name: string;
  plan(context: AdjustContext): Promise<StepPlan>;
}
