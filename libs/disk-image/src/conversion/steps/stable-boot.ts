import type { DeviceNames } from '../../guest/device-names';
import type { ConversionStep } from '../step';

const GRUB_MENU = '/boot/grub/grub.cfg';
const GRUB_DEFAULTS = '/etc/default/grub';
const GRUB_DEVICES = '/boot/grub/device.map';
const RESUME_FOLDER = '/etc/initramfs-tools/conf.d';

/** The kernel finds its root, and the memory image that it may resume from, by names that stay. */
export const stableBoot: ConversionStep = {
  name: 'stable-boot',
  run: async ({ guest, devices }) => {
    const edits: [string, (text: string) => string][] = [
      [GRUB_MENU, (text) => stableKernelLines(text, devices)],
      [GRUB_DEFAULTS, (text) => stableGrubDefaults(text, devices)],
      [GRUB_DEVICES, (text) => text.replace(/^(\(hd0\)\s+)\/dev\/\S+/gm, '$1/dev/vda')],
    ];
    for (const name of await guest.tree.names(RESUME_FOLDER))
      edits.push([`${RESUME_FOLDER}/${name}`, (text) => stableResume(text, devices)]);

    const changed: string[] = [];
    for (const [path, edit] of edits) {
      const before = await guest.tree.readText(path);
      if (before !== undefined && (await guest.write(path, edit(before)))) changed.push(path);
    }
    return changed.length > 0
      ? `Names that stay for the root and the swap area in ${changed.join(', ')}.`
      : undefined;
  },
};

/** `root=` and `resume=` on the lines of a menu that start a kernel. */
export function stableKernelLines(text: string, devices: DeviceNames): string {
  return text.replace(/^\s*linux(?:16|efi)?\s.*$/gm, (line) => stableParameters(line, devices));
}

/** The defaults that the menu is made from, so that its next making keeps the names. */
export function stableGrubDefaults(text: string, devices: DeviceNames): string {
  return text
    .replace(/^\s*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=.*$/gm, (line) => stableParameters(line, devices))
    .replace(/^\s*GRUB_DISABLE_LINUX_(?:PART)?UUID=["']?true["']?\s*$/gm, (line) => `#${line}`);
}

export function stableResume(text: string, devices: DeviceNames): string {
  return text.replace(/^(RESUME=["']?)(\/dev\/[^\s"']+)/gm, (whole, head: string, spec: string) => {
    const stable = devices.stable(spec);
    return stable ? `${head}${stable}` : whole;
  });
}

function stableParameters(line: string, devices: DeviceNames): string {
  return line.replace(/(\b(?:root|resume)=)(\/dev\/[^\s"']+)/g, (whole, head: string, spec: string) => {
    const stable = devices.stable(spec);
    return stable ? `${head}${stable}` : whole;
  });
}
