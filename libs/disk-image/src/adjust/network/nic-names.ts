import type { GuestReader } from '../../guest/guest-files';
import type { AdjustNic } from '../adjustment';

/** A NIC's address that the guest's own settings bind to a name. */
export interface NicBinding {
  readonly mac: string;
  readonly name: string;
  /** What in the guest says so: only rules and link files of udev give the NIC that name by themselves. */
  readonly isGivenByUdev: boolean;
}

/** What one network stack's settings say of NICs. */
export interface NicMentions {
  readonly bindings: readonly NicBinding[];
  /** Names that are used, bound or not. */
  readonly names: readonly string[];
  /** Addresses that are asked for, with a name or without. */
  readonly macs: readonly string[];
}

/** Which NIC has which name; what is not clear is told. */
export interface NicNames {
  /** By the address on the server. */
  nameOf(oldMac: string): string | undefined;
  nicOf(mac: string): AdjustNic | undefined;
  /** Names that could belong to several NICs, and these NICs. */
  readonly unclear?: { readonly names: readonly string[]; readonly macs: readonly string[] };
}

/** As the kernel takes names of NICs; ours become part of rules and settings. */
const NIC_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,14}$/;
/** What distributions and their tools call devices that software makes; `eth0.100` and `eth0:1` are none either. */
const SOFTWARE_NIC =
  /^(?:lo|all|default)$|^(?:br|virbr|docker|bond|team|tun|tap|vlan|veth|vnet|wg|dummy|sit|ppp|wlan|ib)\d|^(?:br|docker|veth)-|^wl/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
const MAC_ANYWHERE = /[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}/i;

export function isHardwareName(name: string): boolean {
  return NIC_NAME.test(name) && !SOFTWARE_NIC.test(name);
}

/** `52-54-00-…`, quotes and capitals are taken as well; undefined where it is no address. */
export function normalMac(text: string): string | undefined {
  const mac = MAC_ANYWHERE.exec(text)?.[0].toLowerCase().replaceAll('-', ':');
  const isAll = text.replace(/["'\s]/g, '').length === mac?.length;
  return mac !== undefined && isAll && MAC.test(mac) ? mac : undefined;
}

/**
 * A name comes from udev's own rules, else from the caller, else from what binds it to an address. One name and one
 * NIC that are left over belong together; more of them could be told apart only by guessing.
 */
export function settleNames(nics: readonly AdjustNic[], mentions: readonly NicMentions[]): NicNames {
  const bindings = mentions.flatMap((mention) => mention.bindings);
  const names = new Map<string, string>();
  const taken = (name: string): boolean => [...names.values()].includes(name);
  const bind = (isFit: (binding: NicBinding) => boolean): void => {
    for (const { oldMac, newMac } of nics) {
      if (names.has(oldMac)) continue;
      const fit = bindings.filter((binding) => isFit(binding) && !taken(binding.name));
      const bound = fit.find(({ mac }) => mac === oldMac) ?? fit.find(({ mac }) => mac === newMac);
      if (bound) names.set(oldMac, bound.name);
    }
  };
  bind(({ isGivenByUdev }) => isGivenByUdev);
  for (const { oldMac, name } of nics)
    if (name && isHardwareName(name) && !names.has(oldMac) && !taken(name)) names.set(oldMac, name);
  bind(() => true);
  // A name bound to an address that is no NIC of this server belongs to a card that is gone.
  const bound = new Set(bindings.map(({ name }) => name));
  const free = [...new Set(mentions.flatMap((mention) => mention.names))].filter(
    (name) => isHardwareName(name) && !taken(name) && !bound.has(name),
  );
  const nameless = nics.filter(({ oldMac }) => !names.has(oldMac));
  const [name, nic] = [free[0], nameless[0]];
  const isClear = free.length === 1 && nameless.length === 1;
  if (isClear && name && nic) names.set(nic.oldMac, name);
  return {
    nameOf: (oldMac) => names.get(oldMac),
    nicOf: (mac) => nics.find(({ oldMac, newMac }) => oldMac === mac || newMac === mac),
    ...(!isClear &&
      free.length > 0 && { unclear: { names: free, macs: nameless.map(({ oldMac }) => oldMac) } }),
  };
}

/** One stack: what its settings say of NICs. */
export type ReadMentions = (files: GuestReader) => Promise<NicMentions>;
