import type { AdjustNic } from '../adjustment';
import type { Draft } from '../draft';
import { hasLine } from '../lines';
import { IniText } from './ini-text';
import { readVariable } from './shell-variables';

interface Dynamic {
  readonly folder: string;
  readonly suffix: string;
  readonly isIn: (text: string) => boolean;
}

const ifupdown = (text: string): boolean => hasLine(text, /^\s*iface\s+\S+\s+inet\s+dhcp\b/);

/** How each network stack writes that an address comes from a DHCP server. */
const DYNAMIC: readonly Dynamic[] = [
  { folder: '/etc/network', suffix: 'interfaces', isIn: ifupdown },
  { folder: '/etc/network/interfaces.d', suffix: '', isIn: ifupdown },
  {
    folder: '/etc/systemd/network',
    suffix: '.network',
    isIn: (text) => ['yes', 'true', 'both', 'ipv4'].includes(new IniText(text).get('Network', 'DHCP') ?? ''),
  },
  {
    folder: '/etc/NetworkManager/system-connections',
    suffix: '',
    isIn: (text) => new IniText(text).get('ipv4', 'method') === 'auto',
  },
  { folder: '/etc/sysconfig/network-scripts', suffix: '', isIn: isDynamicIfcfg },
  { folder: '/etc/sysconfig/network', suffix: '', isIn: isDynamicIfcfg },
  { folder: '/etc/netplan', suffix: '.yaml', isIn: (text) => hasLine(text, /\bdhcp4:\s*(?:true|yes)\b/) },
];
const PATHS_TOLD_MAX = 5;

/** An address by DHCP is the server's to keep: it knows the NIC by its hardware address. */
export async function tellDynamicAddresses(draft: Draft, nics: readonly AdjustNic[]): Promise<void> {
  const moved = nics.filter(({ oldMac, newMac }) => oldMac !== newMac);
  if (moved.length === 0) return;
  const paths: string[] = [];
  for (const { folder, suffix, isIn } of DYNAMIC)
    for (const path of await draft.filesIn(folder, suffix))
      if (isIn((await draft.text(path)) ?? '')) paths.push(path);
  if (paths.length === 0) return;
  const pairs = moved.map(({ oldMac, newMac }) => `${newMac} what it gave ${oldMac}`).join(', ');
  draft.leave(
    `addresses by DHCP (${paths.slice(0, PATHS_TOLD_MAX).join(', ')})`,
    `Let the DHCP server give ${pairs}, or keep the old hardware address on the target.`,
  );
}

function isDynamicIfcfg(text: string): boolean {
  return ['dhcp', 'dhcp4', 'bootp'].includes(readVariable(text, 'BOOTPROTO') ?? '');
}
