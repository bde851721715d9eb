import type { Draft } from '../draft';
import type { IniText } from './ini-text';
import { normalMac } from './nic-names';

/** What says by which driver or in which slot a NIC is, or what it was called before. */
const HARDWARE_KEYS = [
  'Path',
  'Driver',
  'Property',
  'OriginalName',
  'KernelVersion',
  'Virtualization',
  'Host',
  'Architecture',
];
const MAC_KEYS = ['MACAddress', 'PermanentMACAddress'];

/** Addresses that the `[Match]` section of a .link or .network file asks for. */
export function matchedMacs(ini: IniText): string[] {
  const words = MAC_KEYS.flatMap((key) => ini.values('Match', key)).flatMap((value) => value.split(/\s+/));
  return [...new Set(words.flatMap((word) => normalMac(word) ?? []))];
}

export function removeHardwareKeys(ini: IniText): void {
  for (const key of HARDWARE_KEYS) ini.remove('Match', key);
}

export function removeMacs(ini: IniText): void {
  for (const key of MAC_KEYS) ini.remove('Match', key);
}

export interface MacMatch {
  /** Those that it asks for. */
  readonly macs: readonly string[];
  /** Those that it should ask for, too. */
  readonly missing: readonly string[];
  readonly takesLists: boolean;
  readonly reason: string;
}

/**
 * Lets a file match by addresses alone. A systemd that takes no lists of them gets one more file for each. The
 * permanent address of a virtual NIC is not the one that its owner gave it on every hypervisor, so it counts no more.
 */
export async function matchByMacs(
  draft: Draft,
  path: string,
  ini: IniText,
  { macs, missing, takesLists, reason }: MacMatch,
): Promise<void> {
  removeHardwareKeys(ini);
  const isPermanent = ini.get('Match', 'PermanentMACAddress') !== undefined;
  const isListed = takesLists && missing.length > 0;
  if (isListed || isPermanent) {
    removeMacs(ini);
    ini.set('Match', 'MACAddress', [...macs, ...(takesLists ? missing : [])].join(' '));
  }
  await draft.write(path, ini.toString(), reason);
  if (takesLists) return;
  for (const [index, mac] of missing.entries()) {
    ini.set('Match', 'MACAddress', mac);
    const place = path.replace(/\.(network|link)$/, `-watari${index > 0 ? index + 1 : ''}.$1`);
    await draft.write(place, ini.toString(), `${path} for the new address`);
  }
}
