import type { DeviceNames } from '../../guest/device-names';
import type { TargetMachine } from '../adjustment';
import type { Draft } from '../draft';
import { stableParameters, withConsoles } from './kernel-parameters';
import { mapLines } from '../lines';

const LEGACY_MENUS = ['/boot/grub/menu.lst', '/boot/grub/grub.conf'];
const SYSLINUX_MENUS = [
  '/boot/extlinux/extlinux.conf',
  '/boot/extlinux/linux.cfg',
  '/boot/syslinux/syslinux.cfg',
  '/extlinux.conf',
  '/extlinux/extlinux.conf',
];
const SHELL_DEFAULTS = ['/etc/default/extlinux', '/etc/sysconfig/bootloader'];
/** Loaders that find kernels by the blocks that they had when they were installed, or by a map made then. */
const BY_BLOCKS = ['/etc/lilo.conf', '/etc/elilo.conf', '/etc/zipl.conf', '/etc/yaboot.conf'];
const SHELL_DEFAULT = /^(\s*(?:EXTLINUX_(?:ROOT|PARAMETERS)|(?:DEFAULT|FAILSAFE|XEN_KERNEL)_APPEND)=)(.*)$/;
const REASON = 'starts kernels with names that stay, and on consoles that are there';

/** GRUB before 2, and the SYSLINUX family. */
export async function planOtherLoaders(
  draft: Draft,
  devices: DeviceNames,
  { consoles, firstDisk }: TargetMachine,
): Promise<void> {
  const adjusted = (words: string): string => withConsoles(stableParameters(words, devices), consoles);
  for (const path of LEGACY_MENUS)
    await draft.edit(path, (text) => stableLegacyMenu(text, adjusted, devices), REASON);
  for (const path of SYSLINUX_MENUS)
    await draft.edit(path, (text) => headed(text, /^(\s*append[ \t]+)(.*)$/i, adjusted), REASON);
  for (const path of SHELL_DEFAULTS)
    await draft.edit(
      path,
      (text) => headed(text, SHELL_DEFAULT, (words) => stableParameters(words, devices)),
      'the next menu has the same names',
    );
  await draft.edit(
    '/etc/grub.conf',
    (text) =>
      mapLines(text, (line) =>
        /^\s*(?:setup|install)\b/.test(line)
          ? line.replace(/\/dev\/(?:sd|hd)a\b/g, `/dev/${firstDisk}`)
          : line,
      ),
    'the loader is installed to the disk that the target has',
  );
  for (const path of BY_BLOCKS)
    if ((await draft.files.find(path))?.entry.kind === 'file')
      draft.leave(
        path,
        'This loader finds kernels by a map of blocks, which only its own program can make anew. Install GRUB on the server where it is the one that starts it.',
      );
}

function headed(text: string, pattern: RegExp, change: (words: string) => string): string {
  return mapLines(text, (line) => {
    const [, head, words] = pattern.exec(line) ?? [];
    return head === undefined || words === undefined ? line : `${head}${change(words)}`;
  });
}

/** Debian keeps what its entries are made from in comments of the menu: `# kopt=root=… ro`. */
function stableLegacyMenu(text: string, adjusted: (words: string) => string, devices: DeviceNames): string {
  return mapLines(text, (line) => {
    if (/^\s*kernel\s/.test(line)) return adjusted(line);
    if (/^\s*module\s/.test(line)) return stableParameters(line, devices);
    const [, head, words] = /^(#\s*kopt(?:_\S+)?=)(.*)$/.exec(line) ?? [];
    if (head !== undefined && words !== undefined) return `${head}${adjusted(words)}`;
    return line.replace(/^(\s*serial\s.*)--unit=[1-9]\d*/, '$1--unit=0');
  });
}
