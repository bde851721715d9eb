import { DiskUnusable } from '../../errors';
import { filesIn, parseLink, readConfiguredNics, readNicRules } from '../../guest/network-names';
import type { EditableGuest } from '../editable-guest';
import type { ConversionStep, NicMapping } from '../step';

/**
 * A NIC keeps its name, and with it its addresses, though its driver and its place change. Rules by the old
 * address hold for the new one as well, and ask no more for the physical NIC's driver or slot.
 */
export const networkNames: ConversionStep = {
  name: 'network-names',
  run: async ({ guest, nics }) => {
    const changed: string[] = [];
    for (const path of await filesIn(guest.tree, '/etc/udev/rules.d', '.rules'))
      if (await edit(guest, path, (text) => widenUdevRules(text, nics))) changed.push(path);
    for (const path of await filesIn(guest.tree, '/etc/systemd/network', '.link'))
      if (await edit(guest, path, (text) => widenLink(text, nics))) changed.push(path);
    const pinned = await pinUnboundName(guest, nics);
    if (pinned) changed.push(pinned);
    return changed.length > 0
      ? `NICs keep their names by their addresses: ${changed.join(', ')}.`
      : undefined;
  },
};

async function edit(guest: EditableGuest, path: string, change: (text: string) => string): Promise<boolean> {
  const before = await guest.tree.readText(path);
  return before !== undefined && guest.write(path, change(before));
}

/** Match keys of udev that say where in the machine, or by which driver, a NIC is. */
const HARDWARE_KEYS =
  /\b(?:DRIVERS|DRIVER|KERNELS|SUBSYSTEMS|ENV\{ID_PATH\}|ATTRS\{(?!address\})[^}]+\})\s*==\s*"([^"]*)"\s*,?\s*/g;

export function widenUdevRules(text: string, nics: readonly NicMapping[]): string {
  return text
    .split('\n')
    .flatMap((line) => {
      const mac = /ATTRS?\{address\}\s*==\s*"([^"]+)"/.exec(line)?.[1]?.toLowerCase();
      const nic = nics.find(({ oldMac }) => oldMac === mac);
      if (line.trimStart().startsWith('#') || !nic || !mac || !/\bNAME\s*:?=/.test(line)) return [line];
      const free = line.replace(HARDWARE_KEYS, (whole, value: string) => (value === '?*' ? whole : ''));
      if (nic.newMac === nic.oldMac) return [free];
      return [free, free.replace(new RegExp(mac, 'i'), nic.newMac)];
    })
    .join('\n');
}

export function widenLink(text: string, nics: readonly NicMapping[]): string {
  const macs = parseLink(text, '').map(({ mac }) => mac);
  const nic = nics.find(({ oldMac }) => macs.includes(oldMac));
  if (!nic) return text;
  let isInMatch = false;
  const lines = text.split('\n').flatMap((line) => {
    if (/^\s*\[/.test(line)) isInMatch = /^\s*\[Match\]/.test(line);
    if (!isInMatch) return [line];
    if (/^\s*(Driver|Path|OriginalName|KernelVersion|Virtualization|Host|Property)\s*=/.test(line)) return [];
    const [, , values] = /^\s*(Permanent)?MACAddress\s*=\s*(.+?)\s*$/.exec(line) ?? [];
    if (values === undefined) return [line];
    const wanted = values.split(/\s+/);
    const isSame = !/Permanent/.test(line) && wanted.some((mac) => mac.toLowerCase() === nic.newMac);
    // The permanent address of a virtual NIC is not the one that its owner gave it on every hypervisor.
    return isSame ? [line] : [`MACAddress=${[...new Set([...wanted, nic.newMac])].join(' ')}`];
  });
  return lines.join('\n');
}

/** A name that comes from the slot of the physical NIC (enp3s0) is bound to the address, where it is clear which. */
async function pinUnboundName(
  guest: EditableGuest,
  nics: readonly NicMapping[],
): Promise<string | undefined> {
  const rules = await readNicRules(guest.tree);
  const netplanOnly = rules.filter(
    ({ mac, kind }) => kind === 'netplan' && nics.some((nic) => nic.oldMac === mac && nic.newMac !== mac),
  );
  if (netplanOnly.length > 0)
    throw new DiskUnusable(
      'DISK_NETWORK_UNSUPPORTED',
      `${netplanOnly[0]?.path} binds ${netplanOnly[0]?.name} to ${netplanOnly[0]?.mac}; at this stage netplan needs the same address on the target.`,
    );
  const bound = new Set(rules.map(({ name }) => name));
  const unbound = (await readConfiguredNics(guest.tree)).filter(
    (name) => !bound.has(name) && !/[*?!]/.test(name),
  );
  const free = nics.filter(
    ({ oldMac, newMac }) => !rules.some(({ mac }) => mac === oldMac || mac === newMac),
  );
  const [name, nic] = [unbound[0], free[0]];
  if (unbound.length !== 1 || free.length !== 1 || !name || !nic) return undefined;
  const path = `/etc/systemd/network/70-watari-${name}.link`;
  const macs = [...new Set([nic.oldMac, nic.newMac])].join(' ');
  await guest.write(
    path,
    `# Keeps the name that the network set-up uses.\n[Match]\nMACAddress=${macs}\n\n[Link]\nName=${name}\n`,
  );
  return path;
}
