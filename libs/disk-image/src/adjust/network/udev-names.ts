import type { GuestReader } from '../../guest/guest-files';
import { filesIn, parseUdevRules } from '../../guest/network-names';
import type { AdjustNic } from '../adjustment';
import type { Draft } from '../draft';
import { linesOf, mapLines } from '../lines';
import { switchedOffLines } from '../off-mark';
import { readSettings } from '../settings-file';
import { IniText } from './ini-text';
import { matchByMacs, matchedMacs } from './match-section';
import { type NicBinding, type NicMentions, type NicNames, isHardwareName } from './nic-names';
import { widenUdevRules } from './widen-udev-rules';

const RULES = '/etc/udev/rules.d';
const LINKS = '/etc/systemd/network';
/** Read before the rules that make names of slots (73, 75, 80), and after those of the guest's own generator. */
const OUR_RULES = `${RULES}/70-watari-net.rules`;
const HEAD =
  '# Keeps the names of the NICs, by the addresses that they have here and on the physical server.';
/** Older ones take one address a line; the list came after 237, and every distribution that has it is past 239. */
export const SYSTEMD_WITH_MAC_LISTS = 239;

/** Names that udev's rules and link files bind to addresses. */
export async function readUdevNames(files: GuestReader): Promise<NicMentions> {
  const bindings: NicBinding[] = [];
  for (const path of await filesIn(files, RULES, '.rules')) {
    const lines = linesOf((await readSettings(files, path)) ?? '');
    for (const { mac, name } of parseUdevRules(lines.join('\n'), path))
      bindings.push({ mac, name, isGivenByUdev: true });
  }
  for (const path of await filesIn(files, LINKS, '.link')) {
    const ini = new IniText((await readSettings(files, path)) ?? '');
    const name = ini.get('Link', 'Name');
    if (name !== undefined && isHardwareName(name))
      for (const mac of matchedMacs(ini)) bindings.push({ mac, name, isGivenByUdev: true });
  }
  return { bindings, names: bindings.map(({ name }) => name), macs: bindings.map(({ mac }) => mac) };
}

/**
 * Names are bound to addresses by rules: they hold whatever slot or driver the NIC has, with every udev there is, and
 * for the old and the new address alike. Link files that bind one hold for both addresses, too.
 */
export async function planUdevNames(
  draft: Draft,
  nics: readonly AdjustNic[],
  names: NicNames,
  { takesLists }: { takesLists: boolean },
): Promise<void> {
  for (const path of await draft.filesIn(RULES, '.rules')) {
    await draft.edit(
      path,
      (text) => onceEach(mapLines(text, (line) => widenUdevRules(line, nics))),
      'its rules ask for addresses, not slots',
    );
    await draft.edit(
      path,
      (text) => withoutSlotRules(text, nics, names),
      'rules by slot are off: another device may be there',
    );
  }
  for (const path of await draft.filesIn(LINKS, '.link')) await planLink(draft, path, nics, takesLists);

  const { bindings } = await readUdevNames(draft.files);
  const rules = nics.flatMap(({ oldMac, newMac }) => {
    const name = names.nameOf(oldMac);
    if (name === undefined) return [];
    const macs = [...new Set([oldMac, newMac])];
    const missing = macs.filter((mac) => !bindings.some((bound) => bound.mac === mac && bound.name === name));
    return missing.map((mac) => ruleOf(mac, name));
  });
  if (rules.length === 0) return;
  const before = (await draft.text(OUR_RULES)) ?? `${HEAD}\n`;
  await draft.write(
    OUR_RULES,
    `${before}${rules.join('\n')}\n`,
    'names of NICs are bound to their addresses',
  );
}

/** `DRIVERS` keeps the rule off bridges, bonds and VLANs, which have the address of the NIC below them. */
function ruleOf(mac: string, name: string): string {
  return `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="${mac}", ATTR{type}=="1", NAME="${name}"`;
}

/** A rule that was there for both addresses gets no copy. */
function onceEach(text: string): string {
  const seen = new Set<string>();
  return text
    .split('\n')
    .filter(
      (line) => !/\bNAME\s*:?=/.test(line) || line.startsWith('#') || (!seen.has(line) && seen.add(line)),
    )
    .join('\n');
}

const SLOT_KEY = /\b(KERNELS|ENV\{ID_PATH\}|ATTRS?\{dev_(?:id|port)\}|ATTRS?\{device\})\s*==/;

function withoutSlotRules(text: string, nics: readonly AdjustNic[], names: NicNames): string {
  const given = new Set(nics.map(({ oldMac }) => names.nameOf(oldMac)));
  return switchedOffLines(text, (line) => {
    const name = /\bNAME\s*:?=\s*"([^"%$]+)"/.exec(line)?.[1];
    return name !== undefined && SLOT_KEY.test(line) && !/ATTRS?\{address\}/.test(line) && given.has(name);
  });
}

async function planLink(
  draft: Draft,
  path: string,
  nics: readonly AdjustNic[],
  takesLists: boolean,
): Promise<void> {
  const before = await draft.text(path);
  if (before === undefined) return;
  const ini = new IniText(before);
  // One that gives no name is a matter of networkd's.
  if (ini.get('Link', 'Name') === undefined) return;
  const macs = matchedMacs(ini);
  const newMacs = nics.flatMap(({ oldMac, newMac }) => (macs.includes(oldMac) ? [newMac] : []));
  if (newMacs.length === 0) return;
  const reason = 'holds for the old and the new address, in whatever slot';
  const missing = newMacs.filter((mac) => !macs.includes(mac));
  await matchByMacs(draft, path, ini, { macs, missing, takesLists, reason });
}
