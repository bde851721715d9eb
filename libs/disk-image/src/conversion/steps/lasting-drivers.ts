import type { ConversionStep } from '../step';
import { DRIVERS } from './virtio-drivers';

const INITRAMFS_TOOLS = '/etc/initramfs-tools/modules';
const DRACUT_FOLDER = '/etc/dracut.conf.d';
const MARK = '# Drivers of the virtual machine that this server runs in.';

/** The guest's own tools will make new initramfses, at the next kernel update: they keep the drivers. */
export const lastingDrivers: ConversionStep = {
  name: 'lasting-drivers',
  run: async ({ guest }) => {
    const names = DRIVERS.filter(({ isLasting }) => isLasting).map(({ name }) => name);
    const changed: string[] = [];
    const modules = await guest.tree.readText(INITRAMFS_TOOLS);
    if (modules !== undefined || (await guest.tree.find('/usr/sbin/mkinitramfs'))) {
      const present = new Set((modules ?? '').split('\n').map((line) => line.trim().split(/\s+/)[0]));
      const missing = names.filter((name) => !present.has(name));
      const head =
        modules === undefined || modules.endsWith('\n') || modules === '' ? (modules ?? '') : `${modules}\n`;
      if (
        missing.length > 0 &&
        (await guest.write(INITRAMFS_TOOLS, `${head}${MARK}\n${missing.join('\n')}\n`))
      )
        changed.push(INITRAMFS_TOOLS);
    }
    if (await guest.tree.find(DRACUT_FOLDER)) {
      const path = `${DRACUT_FOLDER}/watari-virtio.conf`;
      if (await guest.write(path, `${MARK}\nadd_drivers+=" ${names.join(' ')} "\n`)) changed.push(path);
    }
    return changed.length > 0
      ? `Later kernels get the virtio drivers, too: ${changed.join(', ')}.`
      : undefined;
  },
};
