import type { NicMapping } from '../../conversion/nic-mapping';

/** Match keys of udev that say where in the machine, or by which driver, a NIC is. */
const HARDWARE_KEYS =
  /\b(?:DRIVERS|DRIVER|KERNELS|SUBSYSTEMS|ENV\{ID_PATH\}|ATTRS\{(?!address\})[^}]+\})\s*==\s*"([^"]*)"\s*,?\s*/g;

/** A rule that names a NIC by its address asks no more for its slot or driver, and holds for the new address, too. */
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
