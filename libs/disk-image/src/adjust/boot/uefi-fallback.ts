import type { GuestReader } from '../../guest/guest-files';
import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import type { GuestSystem } from '../system/guest-system';

const ESP_PLACES = ['/boot/efi', '/efi', '/boot'];
/** Far more than a loader has: GRUB's signed image has 3 to 4 MB. */
const LOADER_BYTES_MAX = 32 * 1024 * 1024;
const FOLDERS_MAX = 64;
/** What the firmware looks for where it has no boot entries (UEFI 2.10, 3.5.1.1), and what GRUB and shim call theirs. */
const ARCHITECTURES: Readonly<Record<string, { fallback: string; suffix: string }>> = {
  x86_64: { fallback: 'BOOTX64.EFI', suffix: 'x64' },
  aarch64: { fallback: 'BOOTAA64.EFI', suffix: 'aa64' },
  i686: { fallback: 'BOOTIA32.EFI', suffix: 'ia32' },
};
/** Folders that are no distribution's. */
const OTHERS = ['boot', 'microsoft', 'linux', 'systemd', 'tools', 'memtest86'];

interface Loader {
  readonly folder: string;
  /** What is copied: from the vendor's folder, to the fallback's. */
  readonly copies: readonly { readonly from: string; readonly to: string }[];
  /** The menu that a loader which looks beside itself is led to. */
  readonly menu?: string;
}

/**
 * Boot entries are in the firmware's memory, not on the disk: a new machine has none, and starts the fallback loader
 * alone. The distribution's loader becomes it where there is none.
 */
export const uefiFallback: AdjustStep = {
  name: 'uefi-fallback',
  plan: async ({ files, system, target }) => {
    const draft = new Draft(files);
    const esp = await findEsp(files);
    if (esp === undefined) {
      if (target.firmware === 'uefi')
        draft.leave(
          'the EFI system partition',
          'Its files cannot be seen here, so that the fallback loader is not checked. If the target does not start, add a boot entry for the loader in its firmware.',
        );
      return draft.plan();
    }
    const names = ARCHITECTURES[system.architecture];
    if (!names) {
      draft.leave(esp, 'Of which processor the system is, is not known, so that no fallback loader is made.');
      return draft.plan();
    }
    const boot = await entryOf(files, esp, 'BOOT');
    if (boot !== undefined && (await entryOf(files, boot, names.fallback)) !== undefined) return draft.plan();
    const loader = await findLoader(files, esp, system, names);
    if (!loader) {
      draft.leave(esp, 'There is neither a fallback loader nor one of a distribution that could become it.');
      return draft.plan();
    }
    await planCopies(draft, boot ?? `${esp}/BOOT`, loader);
    return draft.plan();
  },
};

async function planCopies(draft: Draft, target: string, { folder, copies, menu }: Loader): Promise<void> {
  for (const { from, to } of copies) {
    const content = await draft.files.read(`${folder}/${from}`, LOADER_BYTES_MAX);
    if (!content || content.length === 0) {
      draft.leave(`${folder}/${from}`, 'It cannot be read, so that there is no fallback loader.');
      return;
    }
    await draft.write(
      `${target}/${to}`,
      content,
      `a copy of ${folder}/${from}, for firmware without boot entries`,
    );
  }
  if (menu === undefined) return;
  const text = `search --no-floppy --set=esp --file ${menu}\nconfigfile ($esp)${menu}\n`;
  await draft.write(`${target}/grub.cfg`, text, 'leads to the menu of the distribution');
}

/** The folder `EFI`, however it is written: FAT does not tell capitals apart. */
async function findEsp(files: GuestReader): Promise<string | undefined> {
  for (const place of ESP_PLACES) {
    const found = await entryOf(files, place, 'EFI');
    if (found !== undefined && (await files.find(found))?.entry.kind === 'directory') return found;
  }
  return undefined;
}

async function entryOf(files: GuestReader, folder: string, name: string): Promise<string | undefined> {
  const found = (await files.names(folder)).find((one) => one.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : `${folder}/${found}`;
}

async function findLoader(
  files: GuestReader,
  esp: string,
  { osId }: GuestSystem,
  { fallback, suffix }: { fallback: string; suffix: string },
): Promise<Loader | undefined> {
  const folders = (await files.names(esp)).filter(
    (name) => /^[A-Za-z0-9_.-]{1,40}$/.test(name) && !OTHERS.includes(name.toLowerCase()),
  );
  // The system that is installed comes before one that was there once.
  const own = osId.replace(/[\d.].*$/, '');
  const isOwn = (name: string): number => (sameVendor(name, own) ? 0 : 1);
  for (const name of folders.slice(0, FOLDERS_MAX).sort((a, b) => isOwn(a) - isOwn(b))) {
    const folder = `${esp}/${name}`;
    const loader = await loaderIn(files, folder, `/EFI/${name}`, fallback, suffix);
    if (loader) return loader;
  }
  const systemdBoot = await entryOf(files, `${esp}/systemd`, `systemd-boot${suffix}.efi`);
  if (systemdBoot === undefined) return undefined;
  const slash = systemdBoot.lastIndexOf('/');
  const from = systemdBoot.slice(slash + 1);
  return { folder: systemdBoot.slice(0, slash), copies: [{ from, to: fallback }] };
}

/** shim starts the GRUB that lies beside it; a GRUB without shim finds its files by itself. */
async function loaderIn(
  files: GuestReader,
  folder: string,
  place: string,
  fallback: string,
  suffix: string,
): Promise<Loader | undefined> {
  const names = await files.names(folder);
  const find = (...wanted: string[]): string | undefined =>
    names.find((name) => wanted.includes(name.toLowerCase()));
  const grub = find(`grub${suffix}.efi`, 'grub.efi');
  if (grub === undefined) return undefined;
  const shim = find(`shim${suffix}.efi`, 'shim.efi');
  const keys = find(`mm${suffix}.efi`, 'mokmanager.efi');
  const menu = find('grub.cfg');
  const copies =
    shim === undefined
      ? [{ from: grub, to: fallback }]
      : [
          { from: shim, to: fallback },
          { from: grub, to: grub },
          ...(keys === undefined ? [] : [{ from: keys, to: keys }]),
        ];
  return { folder, copies, ...(menu !== undefined && { menu: `${place}/${menu}` }) };
}

/** Red Hat's folder is `redhat`, SUSE's is `opensuse` or `sles`. */
function sameVendor(folder: string, osId: string): boolean {
  const name = folder.toLowerCase();
  return name === osId || (name === 'redhat' && ['rhel', 'ol'].includes(osId)) || name.startsWith(`${osId}-`);
}
