import type { HostTools } from '@watari/host-tools';
import { DiskUnusable } from '../../errors';
import { readKernelModules } from '../../guest/kernel-modules';
import { INITRAMFS_BYTES_MAX } from '../../guest/kernels';
import { type CpioEntry, writeCpio } from '../../initramfs/cpio';
import type { AdjustContext, AdjustStep, FileEdit, LeftUndone } from '../adjustment';
import { Draft } from '../draft';
import { type BootKernel, listBootKernels } from '../../guest/boot-kernels';
import { FILE_MODE, driverFiles, hasRequiredDrivers, loadAtBoot, noDriver } from './driver-files';
import { type ExaminedInitramfs, examineInitramfs, unsupported } from './examine-initramfs';
import { planLastingDrivers } from './lasting-drivers';
import { settingsInside } from './settings-inside';

/** Says in an initramfs that cannot be looked into what was added to it. */
const OPAQUE_MARK = 'etc/watari-drivers';

/** The kernel passes over zeros; some who unpack gzip take what follows at once for more of the same. */
const GAP = Buffer.alloc(4);

interface Extension {
  readonly edit?: FileEdit;
  readonly initramfs?: ExaminedInitramfs;
}

/**
 * Every kernel's initramfs gets one more archive at its end, with the target's drivers and the settings that changed.
 * The kernel unpacks archives one after the other, so what is there stays. It is the last step, for it carries what
 * the others changed.
 */
export function bootDrivers(tools: HostTools, signal?: AbortSignal): AdjustStep {
  return {
    name: 'boot-drivers',
    plan: async (context) => {
      const kernels = await listBootKernels(context.files);
      const newest = kernels.at(-1);
      if (!newest) throw await noKernel(context);
      const edits: FileEdit[] = [];
      const leftUndone: LeftUndone[] = [];
      let examined: ExaminedInitramfs | undefined;
      for (const kernel of kernels) {
        try {
          const { edit, initramfs } = await extend(context, kernel, tools, signal);
          // Several entries of a boot loader may share an initramfs.
          if (edit && !edits.some(({ path }) => path === edit.path)) edits.push(edit);
          if (kernel === newest) examined = initramfs;
        } catch (error) {
          // The newest one is what starts; an old one may have been broken for long.
          if (kernel === newest || !(error instanceof DiskUnusable) || error.code === 'DISK_FILE_SYSTEM_FULL')
            throw error;
          leftUndone.push({ subject: `the kernel ${kernel.version}`, reason: error.message });
        }
      }
      const draft = new Draft(context.files);
      await planLastingDrivers(draft, context.target.drivers, examined);
      const lasting = draft.plan();
      return {
        edits: [...lasting.edits, ...edits],
        leftUndone: [...lasting.leftUndone, ...leftUndone],
      };
    },
  };
}

async function extend(
  { files, devices, target, edited }: AdjustContext,
  kernel: BootKernel,
  tools: HostTools,
  signal: AbortSignal | undefined,
): Promise<Extension> {
  signal?.throwIfAborted();
  const modules = await readKernelModules(files, kernel.version);
  if (!modules) throw noDriver(kernel, `has no /lib/modules/${kernel.version}/modules.dep`);
  const { initramfsPath } = kernel;
  if (initramfsPath === undefined) {
    if (hasRequiredDrivers(target.drivers, undefined, modules)) return {};
    throw noDriver(kernel, 'has no initramfs, and lacks drivers for the target');
  }
  const image = await files.read(initramfsPath, INITRAMFS_BYTES_MAX);
  if (!image) throw unsupported(initramfsPath, `is no plain file of at most ${INITRAMFS_BYTES_MAX} bytes`);
  const initramfs = await examineInitramfs(image, initramfsPath, files, tools, signal);

  const entries: CpioEntry[] = [];
  let loadedCount = 0;
  const hasThem = initramfs.files
    ? hasRequiredDrivers(target.drivers, initramfs, modules)
    : image.includes(markOf(target.drivers.map(({ name }) => name)));
  if (!hasThem) {
    const drivers = await driverFiles(files, kernel, modules, initramfs, target.drivers);
    loadedCount = drivers.loaded.length;
    entries.push(...drivers.entries, ...loadAtBoot(initramfs, drivers.loaded));
    if (!initramfs.files) {
      const content = markOf(target.drivers.map(({ name }) => name));
      entries.push({ path: OPAQUE_MARK, mode: FILE_MODE, content });
    }
  }
  if (initramfs.files) entries.push(...settingsInside(initramfs.files, edited, devices));
  if (entries.length === 0) return { initramfs };
  const content = Buffer.concat([GAP, writeCpio(entries)]);
  const what = loadedCount > 0 ? `${loadedCount} drivers and what they need` : 'the settings that changed';
  const reason = `has ${what} in one more archive of ${content.length} bytes.`;
  return { edit: { path: initramfsPath, kind: 'append', content, reason }, initramfs };
}

function markOf(names: readonly string[]): Buffer {
  return Buffer.from(`drivers added to this initramfs: ${names.join(' ')}\n`);
}

/** Says which one it is, where it is one that starts in another way. */
async function noKernel({ files, system }: AdjustContext): Promise<DiskUnusable> {
  const hasMkinitcpio = await files.find('/etc/mkinitcpio.conf');
  if (hasMkinitcpio || system.family === 'arch')
    return unsupported(
      '/boot',
      'holds an initramfs that was made by mkinitcpio, which takes no further drivers',
    );
  for (const folder of ['/boot/efi/EFI/Linux', '/efi/EFI/Linux', '/boot/EFI/Linux'])
    if ((await files.names(folder)).some((name) => name.toLowerCase().endsWith('.efi')))
      return new DiskUnusable(
        'DISK_KERNEL_UNSUPPORTED',
        `The server starts unified kernel images (${folder}), whose initramfs is sealed in them. Install a kernel with an initramfs of its own, then copy the disk again.`,
      );
  return new DiskUnusable(
    'DISK_KERNEL_UNSUPPORTED',
    'There is no kernel (vmlinuz-VERSION) in /boot, and none in the entries of a boot loader. Install one on the server, then copy the disk again.',
  );
}
