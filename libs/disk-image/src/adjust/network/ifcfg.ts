import type { GuestReader } from '../../guest/guest-files';
import type { Draft } from '../draft';
import { filesIn } from '../../guest/network-names';
import { readSettings } from '../settings-file';
import { type NicMentions, type NicNames, isHardwareName, normalMac } from './nic-names';
import { readVariable, removeVariable, setVariable } from './shell-variables';

const REDHAT = '/etc/sysconfig/network-scripts';
/** wicked's, and those of SUSE's scripts before it. */
const SUSE = '/etc/sysconfig/network';
/** Copies that editors and packages leave; the guest's own scripts do not read them. */
const COPY = /(~|\.(bak|orig|old|rpmsave|rpmnew|rpmorig|swp))$/;
const WIRED_TYPES = ['', 'Ethernet', 'ethernet'];

interface Ifcfg {
  readonly path: string;
  readonly text: string;
  /** Undefined where the file names none. */
  readonly device: string | undefined;
  readonly mac: string | undefined;
}

/** NICs of ifcfg files, of the Red Hat family and of SUSE's. */
export async function readIfcfg(files: GuestReader): Promise<NicMentions> {
  const found = await readAll(files);
  const used = found.flatMap(({ device, mac }) => (device === undefined ? [] : [{ device, mac }]));
  return {
    bindings: used.flatMap(({ device, mac }) =>
      mac === undefined || !isHardwareName(device) ? [] : [{ mac, name: device, isGivenByUdev: false }],
    ),
    names: used.map(({ device }) => device),
    macs: found.flatMap(({ mac }) => mac ?? []),
  };
}

/**
 * `HWADDR` makes the scripts refuse a NIC with another address. Where the NIC's name is known the file is for the
 * name, which udev's rules bind to both addresses; otherwise for the new address.
 */
export async function planIfcfg(draft: Draft, names: NicNames): Promise<void> {
  for (const { path, text, device, mac } of await readAll(draft.files, draft)) {
    if (mac === undefined) continue;
    const nic = names.nicOf(mac);
    if (!nic) {
      draft.leave(path, `It is for ${mac}, which is none of the NICs that move; it will stay idle.`);
      continue;
    }
    const name = device !== undefined && isHardwareName(device) ? device : names.nameOf(nic.oldMac);
    if (name !== undefined) {
      const free = removeVariable(text, 'HWADDR');
      const named = device === undefined ? setVariable(free, 'DEVICE', name) : free;
      await draft.write(path, named, `is for ${name}, whatever address that has`);
    } else if (mac !== nic.newMac) {
      const moved = setVariable(text, 'HWADDR', nic.newMac.toUpperCase());
      await draft.write(path, moved, `is for the new address ${nic.newMac}`);
    }
  }
  if ((await draft.filesIn('/etc/wicked/ifconfig', '.xml')).length > 0)
    draft.leave('/etc/wicked/ifconfig', "wicked's own XML settings are left as they are. Check their NICs.");
}

async function readAll(files: GuestReader, draft?: Draft): Promise<Ifcfg[]> {
  const found: Ifcfg[] = [];
  for (const folder of [REDHAT, SUSE]) {
    const paths = draft ? await draft.filesIn(folder) : await filesIn(files, folder, '');
    for (const path of paths) {
      const name = /\/ifcfg-([^/]+)$/.exec(path)?.[1];
      if (name === undefined || name === 'lo' || COPY.test(name)) continue;
      const text = await readSettings(files, path);
      if (text === undefined || !isWired(text)) continue;
      const device = readVariable(text, 'DEVICE') ?? (folder === SUSE ? suseName(name) : undefined);
      const mac = normalMac(readVariable(text, 'HWADDR') ?? '');
      found.push({ path, text, device: device === '' ? undefined : device, mac });
    }
  }
  return found;
}

/** SUSE takes the name from the file's. */
function suseName(name: string): string | undefined {
  return isHardwareName(name) ? name : undefined;
}

function isWired(text: string): boolean {
  if (!WIRED_TYPES.includes(readVariable(text, 'TYPE') ?? '')) return false;
  const isMade = ['VLAN', 'BRIDGE_PORTS', 'BONDING_MASTER', 'ETHERDEVICE', 'TUNNEL', 'BRIDGE_STP'];
  return isMade.every((key) => ['no', undefined].includes(readVariable(text, key)));
}
