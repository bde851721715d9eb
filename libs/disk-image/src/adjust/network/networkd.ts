import type { GuestReader } from '../../guest/guest-files';
import { filesIn } from '../../guest/network-names';
import type { Draft } from '../draft';
import { readSettings } from '../settings-file';
import { IniText } from './ini-text';
import { matchByMacs, matchedMacs, removeHardwareKeys, removeMacs } from './match-section';
import { type NicMentions, type NicNames, isHardwareName } from './nic-names';

const FOLDER = '/etc/systemd/network';
/** Names that .network files of systemd-networkd ask for; with one address beside, bound to it. */
export async function readNetworkd(files: GuestReader): Promise<NicMentions> {
  const names: string[] = [];
  const macs: string[] = [];
  const bindings: NicMentions['bindings'][number][] = [];
  for (const path of await filesIn(files, FOLDER, '.network')) {
    const ini = new IniText((await readSettings(files, path)) ?? '');
    if (ini.values('Match', 'Type').some((type) => type !== 'ether')) continue;
    const wanted = ini.values('Match', 'Name').flatMap((value) => value.split(/\s+/));
    const plain = wanted.filter(isHardwareName);
    names.push(...plain);
    const asked = matchedMacs(ini);
    const [mac, ...otherMacs] = asked;
    macs.push(...asked);
    const [name, ...otherNames] = wanted;
    if (mac && name && isHardwareName(name) && otherMacs.length === 0 && otherNames.length === 0)
      bindings.push({ mac, name, isGivenByUdev: false });
  }
  const made = new Set<string | undefined>();
  for (const path of await filesIn(files, FOLDER, '.netdev'))
    made.add(new IniText((await readSettings(files, path)) ?? '').get('NetDev', 'Name'));
  return { bindings, names: names.filter((name) => !made.has(name)), macs };
}

/**
 * A .network file that asks for an address asks for the NIC's name instead, which udev's rules bind to the old and the
 * new address; where the name is not known, for both addresses.
 */
export async function planNetworkd(
  draft: Draft,
  names: NicNames,
  { takesLists }: { takesLists: boolean },
): Promise<void> {
  for (const path of await draft.filesIn(FOLDER, '.network')) await planFile(draft, path, names, takesLists);
  for (const path of await draft.filesIn(FOLDER, '.link')) {
    // Those that give names are udev's matter.
    const ini = new IniText((await draft.text(path)) ?? '');
    if (ini.get('Link', 'Name') === undefined)
      await planFile(draft, path, { ...names, nameOf: () => undefined }, takesLists);
  }
}

async function planFile(draft: Draft, path: string, names: NicNames, takesLists: boolean): Promise<void> {
  const before = await draft.text(path);
  if (before === undefined) return;
  const ini = new IniText(before);
  const macs = matchedMacs(ini);
  const nics = macs.flatMap((mac) => names.nicOf(mac) ?? []);
  if (nics.length === 0) {
    const isBySlot = ['Path', 'Driver', 'Property'].some((key) => ini.get('Match', key) !== undefined);
    if (isBySlot && ini.get('Match', 'Name') === undefined && macs.length === 0)
      draft.leave(
        path,
        'It finds its NIC by driver or slot, which the target has not. Let it match by Name= on the server.',
      );
    return;
  }
  const known = [...new Set(nics.map(({ oldMac }) => names.nameOf(oldMac)))];
  const byName = known.every((name) => name !== undefined) && nics.length === macs.length;
  if (byName) {
    removeHardwareKeys(ini);
    removeMacs(ini);
    ini.set('Match', 'Name', known.join(' '));
    await draft.write(path, ini.toString(), 'finds its NIC by name, which is bound to both addresses');
    return;
  }
  const missing = nics.map(({ newMac }) => newMac).filter((mac) => !macs.includes(mac));
  const reason = 'finds its NIC by the old and the new address';
  await matchByMacs(draft, path, ini, { macs, missing: [...new Set(missing)], takesLists, reason });
}
