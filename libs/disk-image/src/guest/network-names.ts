import type { GuestReader } from './guest-files';

export type NetworkFileKind = 'udev-rule' | 'link' | 'netplan';

/** A NIC's name that is bound to its hardware address, and the file that says so. */
export interface NicRule {
  readonly mac: string;
  readonly name: string;
  readonly path: string;
  readonly kind: NetworkFileKind;
}

const RULE_FILES_MAX = 200;
const NICS_MAX = 64;
const MAC = /([0-9a-f]{2}(?::[0-9a-f]{2}){5})/i;

/** Names that the guest gives to NICs by their addresses, each address once. */
export async function readNicRules(tree: GuestReader): Promise<NicRule[]> {
  const rules: NicRule[] = [];
  for (const path of await filesIn(tree, '/etc/udev/rules.d', '.rules'))
    rules.push(...parseUdevRules((await tree.readText(path)) ?? '', path));
  for (const path of await filesIn(tree, '/etc/systemd/network', '.link'))
    rules.push(...parseLink((await tree.readText(path)) ?? '', path));
  for (const path of await filesIn(tree, '/etc/netplan', '.yaml'))
    rules.push(...parseNetplan((await tree.readText(path)) ?? '', path));
  const seen = new Set<string>();
  return rules.filter(({ mac }) => !seen.has(mac) && seen.add(mac)).slice(0, NICS_MAX);
}

/** Interfaces that the network set-up names, whether or not something binds the name to an address. */
export async function readConfiguredNics(tree: GuestReader): Promise<string[]> {
  const names = new Set<string>();
  const files = ['/etc/network/interfaces', ...(await filesIn(tree, '/etc/network/interfaces.d', ''))];
  for (const path of files)
    for (const [, name] of ((await tree.readText(path)) ?? '').matchAll(/^[ \t]*iface[ \t]+(\S+)\s/gm))
      if (name && name !== 'lo' && isNicName(name) && !/^(br|bond|tun|tap|vlan)/.test(name)) names.add(name);
  for (const path of await filesIn(tree, '/etc/systemd/network', '.network'))
    for (const [, value] of ((await tree.readText(path)) ?? '').matchAll(/^[ \t]*Name[ \t]*=[ \t]*(\S.*)$/gm))
      for (const name of (value ?? '').split(/\s+/)) if (isNicName(name)) names.add(name);
  for (const path of await filesIn(tree, '/etc/netplan', '.yaml'))
    for (const { key } of netplanNics((await tree.readText(path)) ?? '')) if (isNicName(key)) names.add(key);
  return [...names].slice(0, NICS_MAX);
}

/** Files of a folder, in the order in which the guest reads them. */
export async function filesIn(tree: GuestReader, folder: string, suffix: string): Promise<string[]> {
  const names = (await tree.names(folder)).filter((name) => name.endsWith(suffix));
  return names.slice(0, RULE_FILES_MAX).map((name) => `${folder}/${name}`);
}

export function parseUdevRules(text: string, path: string): NicRule[] {
  return text.split('\n').flatMap((line) => {
    if (line.trimStart().startsWith('#')) return [];
    const mac = /ATTRS?\{address\}\s*==\s*"([^"]+)"/.exec(line)?.[1];
    const name = /\bNAME\s*:?=\s*"([^"%$]+)"/.exec(line)?.[1];
    return mac && MAC.test(mac) && name && isNicName(name)
      ? [{ mac: mac.toLowerCase(), name, path, kind: 'udev-rule' as const }]
      : [];
  });
}

export function parseLink(text: string, path: string): NicRule[] {
  const name = /^[ \t]*Name[ \t]*=[ \t]*(\S+)[ \t]*$/m.exec(text)?.[1];
  if (!name || !isNicName(name)) return [];
  return [...text.matchAll(/^[ \t]*(?:Permanent)?MACAddress[ \t]*=[ \t]*(\S.*)$/gm)]
    .flatMap(([, macs]) => (macs ?? '').split(/\s+/))
    .filter((mac) => MAC.test(mac))
    .map((mac) => ({ mac: mac.toLowerCase(), name, path, kind: 'link' as const }));
}

function parseNetplan(text: string, path: string): NicRule[] {
  return netplanNics(text).flatMap(({ key, block }) => {
    const mac = MAC.exec(/macaddress:\s*(\S+)/.exec(block)?.[1] ?? '')?.[1];
    const name = /set-name:\s*["']?([^\s"']+)/.exec(block)?.[1] ?? key;
    return mac && /match:/.test(block) && isNicName(name)
      ? [{ mac: mac.toLowerCase(), name, path, kind: 'netplan' as const }]
      : [];
  });
}

/** The keys below `ethernets:` and the lines below each: all that is needed of netplan's YAML. */
function netplanNics(text: string): { key: string; block: string }[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.trimStart().startsWith('#'));
  const indentOf = (line: string): number => line.length - line.trimStart().length;
  const start = lines.findIndex((line) => /^\s*ethernets:\s*$/.test(line));
  if (start < 0) return [];
  const nics: { key: string; block: string }[] = [];
  const outer = indentOf(lines[start] ?? '');
  let inner: number | undefined;
  for (const line of lines.slice(start + 1)) {
    const indent = indentOf(line);
    if (indent <= outer) break;
    inner ??= indent;
    const key = /^\s*["']?([^"':\s]+)["']?:\s*$/.exec(line)?.[1];
    if (indent === inner && key) nics.push({ key, block: '' });
    const last = nics.at(-1);
    if (last && indent > inner) last.block += `${line}\n`;
  }
  return nics;
}

function isNicName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name);
}
