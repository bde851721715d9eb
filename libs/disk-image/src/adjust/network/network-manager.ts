import type { GuestReader } from '../../guest/guest-files';
import { filesIn } from '../../guest/network-names';
import type { Draft } from '../draft';
import { readSettings } from '../settings-file';
import { IniText } from './ini-text';
import { type NicMentions, type NicNames, isHardwareName, normalMac } from './nic-names';

const FOLDER = '/etc/NetworkManager/system-connections';
/** Its old name is still read. */
const WIRED = ['ethernet', '802-3-ethernet'] as const;

/** NICs of NetworkManager's profiles for wired connections (keyfiles). */
export async function readNetworkManager(files: GuestReader): Promise<NicMentions> {
  const names: string[] = [];
  const macs: string[] = [];
  const bindings: NicMentions['bindings'][number][] = [];
  for (const path of await filesIn(files, FOLDER, '')) {
    const ini = new IniText((await readSettings(files, path)) ?? '');
    if (!isWired(ini)) continue;
    const name = ini.get('connection', 'interface-name');
    const mac = macOf(ini);
    if (mac) macs.push(mac);
    if (name === undefined || !isHardwareName(name)) continue;
    names.push(name);
    if (mac) bindings.push({ mac, name, isGivenByUdev: false });
  }
  return { bindings, names, macs };
}

/**
 * A profile holds for one address at most. Where the NIC's name is known it is for the name, which udev's rules bind
 * to both addresses; otherwise it takes the new address.
 */
export async function planNetworkManager(draft: Draft, names: NicNames): Promise<void> {
  for (const path of await draft.filesIn(FOLDER)) {
    const before = await draft.text(path);
    if (before === undefined) continue;
    const ini = new IniText(before);
    const mac = isWired(ini) ? macOf(ini) : undefined;
    if (mac === undefined) {
      if (isWired(ini) && ini.get('match', 'path') !== undefined)
        draft.leave(path, 'It finds its NIC by the slot. Let it match by interface-name on the server.');
      continue;
    }
    const nic = names.nicOf(mac);
    if (!nic) {
      draft.leave(path, `It is for ${mac}, which is none of the NICs that move; it will stay idle.`);
      continue;
    }
    const name = names.nameOf(nic.oldMac);
    const section = WIRED.find((one) => ini.get(one, 'mac-address') !== undefined) ?? WIRED[0];
    if (name !== undefined) {
      ini.remove(section, 'mac-address');
      ini.set('connection', 'interface-name', name);
      await draft.write(path, ini.toString(), `is for ${name}, whatever address that has`);
    } else if (mac !== nic.newMac) {
      ini.set(section, 'mac-address', nic.newMac.toUpperCase());
      await draft.write(path, ini.toString(), `is for the new address ${nic.newMac}`);
    }
  }
}

function isWired(ini: IniText): boolean {
  return (WIRED as readonly string[]).includes(ini.get('connection', 'type') ?? '');
}

function macOf(ini: IniText): string | undefined {
  const value = WIRED.map((section) => ini.get(section, 'mac-address')).find((text) => text !== undefined);
  return value === undefined ? undefined : normalMac(value);
}
