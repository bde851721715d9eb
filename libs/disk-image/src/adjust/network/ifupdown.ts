import type { GuestReader } from '../../guest/guest-files';
import { filesIn } from '../../guest/network-names';
import { linesOf } from '../lines';
import { readSettings } from '../settings-file';
import type { NicMentions } from './nic-names';

const INTERFACES = '/etc/network/interfaces';
const FILES_MAX = 64;

/** Options that say what a device is made of, and so that software makes it. */
const MADE_OF =
  /^(?:bond[-_]slaves|slaves|bridge[-_]ports|vlan[-_]raw[-_]device|bond[-_]primary|tunnel|mode|ovs_\w+)$/;

/** Names in /etc/network/interfaces and in what it sources: ifupdown knows NICs by their names alone. */
export async function readIfupdown(files: GuestReader): Promise<NicMentions> {
  const names = new Set<string>();
  const made = new Set<string>();
  const paths = [INTERFACES];
  for (let index = 0; index < Math.min(paths.length, FILES_MAX); index++) {
    const text = (await readSettings(files, paths[index] ?? '')) ?? '';
    let current = '';
    for (const line of linesOf(text.replaceAll('\\\n', ' '))) {
      const [word = '', ...rest] = line.trim().split(/\s+/);
      if (word === 'iface') {
        current = rest[0] ?? '';
        names.add(physical(current));
      }
      if (MADE_OF.test(word)) {
        made.add(current);
        if (!/^(?:tunnel|mode|ovs_)/.test(word)) for (const name of rest) names.add(physical(name));
      }
      if (word === 'source' || word === 'source-directory')
        for (const path of await sourced(files, rest[0] ?? '')) if (!paths.includes(path)) paths.push(path);
    }
  }
  return { bindings: [], names: [...names].filter((name) => !made.has(name)), macs: [] };
}

/** `eth0.100` and `eth0:1` are on eth0. */
function physical(name: string): string {
  return name.replace(/[.:].*$/, '');
}

/** `interfaces.d`, `interfaces.d/*` or one file; other patterns are not followed. */
async function sourced(files: GuestReader, pattern: string): Promise<string[]> {
  const path = pattern.startsWith('/') ? pattern : `/etc/network/${pattern}`;
  if (!/^[A-Za-z0-9/._-]+\*?$/.test(path)) return [];
  const found = await files.find(path);
  if (found?.entry.kind === 'file') return [path];
  const folder = path.replace(/\/\*?$/, '');
  return folder.includes('*') ? [] : filesIn(files, folder, '');
}
