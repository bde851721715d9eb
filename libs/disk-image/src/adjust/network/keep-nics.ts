import type { GuestReader } from '../../guest/guest-files';
import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { tellDynamicAddresses } from './dynamic-addresses';
import { planIfcfg, readIfcfg } from './ifcfg';
import { readIfupdown } from './ifupdown';
import { planNetplan, readNetplan } from './netplan';
import { planNetworkManager, readNetworkManager } from './network-manager';
import { planNetworkd, readNetworkd } from './networkd';
import { type ReadMentions, settleNames } from './nic-names';
import { SYSTEMD_WITH_MAC_LISTS, planUdevNames, readUdevNames } from './udev-names';

const STACKS: readonly ReadMentions[] = [
  readUdevNames,
  readIfupdown,
  readNetworkd,
  readNetworkManager,
  readIfcfg,
  readNetplan,
];
const MACS_MAX = 64;
const KERNEL_NAME = /^eth\d+$/;

/** Addresses of NICs that any network stack's settings ask for, each once: those that the server had, and may have had. */
export async function readServerMacs(files: GuestReader): Promise<string[]> {
  const macs: string[] = [];
  for (const read of STACKS) macs.push(...(await read(files)).macs);
  return [...new Set(macs)].slice(0, MACS_MAX);
}

/**
 * NICs keep their names, and their settings find them, though driver, slot and mostly the address change:
 *
 *   address on the server ─┐
 *                          ├─ udev's rules ─▶ name ◀─ settings of every network stack
 *   address on the target ─┘
 *
 * The settings themselves (addresses, routes, VLANs, bonds) are not touched.
 */
export const keepNics: AdjustStep = {
  name: 'keep-nics',
  plan: async ({ files, system, nics }) => {
    const draft = new Draft(files);
    const mentions = [];
    for (const read of STACKS) mentions.push(await read(files));
    const names = settleNames(nics, mentions);
    const takesLists = (system.systemdVersion ?? 0) >= SYSTEMD_WITH_MAC_LISTS;

    await planUdevNames(draft, nics, names, { takesLists });
    await planNetworkd(draft, names, { takesLists });
    await planNetworkManager(draft, names);
    await planIfcfg(draft, names);
    await planNetplan(draft, names);

    if (names.unclear) {
      const { names: free, macs } = names.unclear;
      const nameless =
        macs.length > 0 ? macs.join(', ') : 'none of the addresses that were given is without a name';
      draft.leave(
        `the NICs ${free.join(', ')}`,
        `Nothing on the disk says which has which address (${nameless}). Give each address with its name.`,
      );
    }
    const kept = nics.flatMap(({ oldMac }) => names.nameOf(oldMac) ?? []);
    if (kept.length > 1 && kept.some((name) => KERNEL_NAME.test(name)))
      draft.leave(
        `the order of ${[...kept].sort().join(', ')}`,
        'The kernel gives such names in the order of slots, and udev cannot always swap them. Attach the NICs to the target in this order.',
      );
    await tellDynamicAddresses(draft, nics);
    return draft.plan();
  },
};
