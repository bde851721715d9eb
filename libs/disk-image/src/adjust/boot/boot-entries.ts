import { ENTRY_FOLDERS } from '../../guest/boot-kernels';
import type { DeviceNames } from '../../guest/device-names';
import type { TargetMachine } from '../adjustment';
import type { Draft } from '../draft';
import { stableParameters, unstableDevices, withConsoles } from './kernel-parameters';
import { hasLine, mapLines } from '../lines';

const SEED = '/etc/kernel/cmdline';

/** One file a kernel, and the line that entries of later kernels are made with. */
export async function planBootEntries(
  draft: Draft,
  devices: DeviceNames,
  { consoles }: TargetMachine,
): Promise<void> {
  for (const folder of ENTRY_FOLDERS)
    for (const path of await draft.filesIn(folder, '.conf')) {
      const text = (await draft.text(path)) ?? '';
      const hasInitrd = hasLine(text, /^[ \t]*initrd[ \t]/);
      if (!hasInitrd) {
        for (const spec of unstableDevices(text, devices))
          draft.leave(
            path,
            `It starts a kernel without initramfs from ${spec}; such a kernel takes root=PARTUUID= alone. Change it on the server.`,
          );
        continue;
      }
      await draft.edit(
        path,
        (entry) =>
          mapLines(entry, (line) => {
            const [, head, words] = /^(\s*options[ \t]+)(.*)$/.exec(line) ?? [];
            if (head === undefined || words === undefined) return line;
            const stable = stableParameters(words, devices);
            // GRUB puts the consoles in by the variable.
            return `${head}${/\$\w*kernelopts/.test(words) ? stable : withConsoles(stable, consoles)}`;
          }),
        'starts its kernel with names that stay, and on consoles that are there',
      );
    }
  await draft.edit(
    SEED,
    (text) => text.replace(/^[^#\n].*/, (line) => withConsoles(stableParameters(line, devices), consoles)),
    'entries of later kernels have the same names and consoles',
  );
}
