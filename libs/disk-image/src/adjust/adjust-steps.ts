import type { HostTools } from '@watari/host-tools';
import type { AdjustStep } from './adjustment';
import { guestAgentOn } from './agents/guest-agent';
import { vendorAgentsOff } from './agents/vendor-agents-off';
import { adjustBootLoaders } from './boot/boot-loaders';
import { loginConsoles } from './boot/login-consoles';
import { uefiFallback } from './boot/uefi-fallback';
import { bootDrivers } from './initramfs/boot-drivers';
import { hardwareClock } from './machine/clock';
import { machineCaches } from './machine/machine-caches';
import { selinuxRelabel } from './machine/selinux-relabel';
import { keepNics } from './network/keep-nics';
import { stableStorage } from './storage/stable-storage';
import { knownDistribution } from './system/known-distribution';

export interface NamedStep {
  readonly step: AdjustStep;
  /** What a person reads while it runs. */
  readonly text: string;
}

/**
 * All adjustments, in their order: the initramfs carries what the others changed, and only what comes last knows
 * which files are new.
 */
export function adjustSteps(tools: HostTools, signal?: AbortSignal): NamedStep[] {
  return [
    { step: knownDistribution, text: 'looking at the distribution' },
    { step: stableStorage, text: 'naming the mounts so that they stay' },
    { step: adjustBootLoaders, text: 'naming the root so that it stays' },
    { step: loginConsoles, text: 'keeping log-ins to consoles that are there' },
    { step: uefiFallback, text: 'making the loader that firmware without entries starts' },
    { step: keepNics, text: 'keeping the names of the NICs' },
    { step: vendorAgentsOff, text: 'switching off agents of the old machine' },
    { step: guestAgentOn, text: 'switching on the guest agent' },
    { step: machineCaches, text: 'clearing notes of the old disks' },
    { step: hardwareClock, text: 'setting how the clock is read' },
    { step: bootDrivers(tools, signal), text: 'adding the drivers of the target' },
    { step: selinuxRelabel, text: 'having new files labelled' },
  ];
}
