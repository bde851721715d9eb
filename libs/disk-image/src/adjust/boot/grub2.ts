import type { DeviceNames } from '../../guest/device-names';
import type { TargetMachine } from '../adjustment';
import type { Draft } from '../draft';
import {
  addConsoles,
  missingConsoles,
  stableParameters,
  unstableDevices,
  withConsoles,
  withoutForeignConsoles,
} from './kernel-parameters';
import { hasLine, linesOf, mapLines } from '../lines';

const MENU_FOLDERS = ['/boot/grub', '/boot/grub2'];
const EFI_FOLDERS = ['/boot/efi/EFI', '/efi/EFI'];
const DEFAULTS = '/etc/default/grub';
const MENU_BYTES_MAX = 1024 * 1024;
const VENDORS_MAX = 32;
const COMMAND_LINE = /^\s*GRUB_CMDLINE_(?:LINUX|XEN)\w*=/;

/** GRUB 2: its menus, the defaults that they are made from, its environment, and what disks it takes for which. */
export async function planGrub2(draft: Draft, devices: DeviceNames, target: TargetMachine): Promise<void> {
  const folders = [...MENU_FOLDERS, ...(await vendorFolders(draft))];
  for (const folder of folders) {
    await planMenu(draft, `${folder}/grub.cfg`, devices, target);
    await planEnvironment(draft, `${folder}/grubenv`, devices, target);
    await planDeviceMap(draft, `${folder}/device.map`, target);
  }
  await planDefaults(draft, devices, target);
}

async function vendorFolders(draft: Draft): Promise<string[]> {
  const found: string[] = [];
  for (const folder of EFI_FOLDERS)
    for (const name of (await draft.files.names(folder)).slice(0, VENDORS_MAX))
      if (/^[A-Za-z0-9_-]{1,40}$/.test(name)) found.push(`${folder}/${name}`);
  return found;
}

async function planMenu(
  draft: Draft,
  path: string,
  devices: DeviceNames,
  target: TargetMachine,
): Promise<void> {
  const text = await draft.text(path, MENU_BYTES_MAX);
  if (text === undefined) return;
  const without = entriesWithoutInitrd(text);
  await draft.edit(
    path,
    (menu) => stableMenu(menu, devices, target),
    'starts kernels with names that stay, and on consoles that are there',
    MENU_BYTES_MAX,
  );
  for (const spec of without.flatMap((line) => unstableDevices(line, devices)))
    draft.leave(
      path,
      `An entry starts a kernel without initramfs from ${spec}; such a kernel takes root=PARTUUID= alone. Change it on the server.`,
    );
}

/** `linux` lines without an `initrd` line before the next entry: they can take no UUID. */
function entriesWithoutInitrd(menu: string): string[] {
  const found: string[] = [];
  let open: string | undefined;
  for (const line of linesOf(menu)) {
    const word = line.trim().split(/\s+/)[0] ?? '';
    if (/^initrd(16|efi)?$/.test(word)) open = undefined;
    if (/^linux(16|efi)?$/.test(word) || word === 'menuentry' || word === '}') {
      if (open !== undefined) found.push(open);
      open = word.startsWith('linux') ? line : undefined;
    }
  }
  return open === undefined ? found : [...found, open];
}

function stableMenu(menu: string, devices: DeviceNames, target: TargetMachine): string {
  const bare = new Set(entriesWithoutInitrd(menu));
  return mapLines(menu, (line) => {
    if (/^\s*linux(?:16|efi)?\s/.test(line)) {
      const stable = bare.has(line) ? line : stableParameters(line, devices);
      return withConsoles(stable, target.consoles);
    }
    // Xen's entries: the kernel is a module there.
    if (/^\s*module2?\s/.test(line)) return stableParameters(line, devices);
    if (/^\s*set\s+(?:default_)?kernelopts=/.test(line)) return inQuotes(line, devices, target, true);
    return serialLine(line, target);
  });
}

/** The target's serial port is the first one, whichever the server had. */
function serialLine(line: string, { consoles }: TargetMachine): string {
  if (!consoles.some((value) => value.startsWith('ttyS0'))) return line;
  if (!/^\s*(?:serial\s|GRUB_SERIAL_COMMAND=)/.test(line)) return line;
  return line.replace(/--unit=[1-9]\d*/g, '--unit=0').replace(/--port=0x[0-9a-fA-F]+/g, '--unit=0');
}

const SIGNATURE = '# GRUB Environment Block\n';
const ENVIRONMENT_BYTES = 1024;

/** GRUB writes into this file by its blocks: its size must stay. */
async function planEnvironment(
  draft: Draft,
  path: string,
  devices: DeviceNames,
  target: TargetMachine,
): Promise<void> {
  const text = await draft.text(path, 16 * ENVIRONMENT_BYTES);
  if (text === undefined || !text.startsWith(SIGNATURE)) return;
  let end = text.length;
  while (text[end - 1] === '#') end -= 1;
  const body = mapLines(text.slice(0, end), (line) =>
    /^(?:\w+_)?kernelopts=/.test(line)
      ? withConsoles(stableParameters(line, devices), target.consoles)
      : line,
  );
  if (body.length > text.length) {
    draft.leave(
      path,
      'It is full, so that its kernel parameters stay. Make room by grub2-editenv on the server.',
    );
    return;
  }
  await draft.write(path, body.padEnd(text.length, '#'), 'its kernel parameters have names that stay');
}

async function planDeviceMap(draft: Draft, path: string, { firstDisk }: TargetMachine): Promise<void> {
  await draft.edit(
    path,
    (text) => mapLines(text, (line) => line.replace(/^(\(hd0\)[ \t]+)\/dev\/\S+/, `$1/dev/${firstDisk}`)),
    'its first disk is the one that the target has',
  );
}

async function planDefaults(draft: Draft, devices: DeviceNames, target: TargetMachine): Promise<void> {
  const reason = 'the next menu has the same names and consoles';
  await draft.edit(DEFAULTS, (text) => stableDefaults(text, devices, target), reason);
  for (const path of await draft.filesIn(`${DEFAULTS}.d`, '.cfg'))
    await draft.edit(path, (text) => mapLines(text, (line) => defaultLine(line, devices, target)), reason);
}

const ASSIGNED = /^(\s*GRUB_CMDLINE_LINUX=)(?:(["'])(.*)\2|([^\s"'`$\\]*))\s*$/;

function stableDefaults(text: string, devices: DeviceNames, target: TargetMachine): string {
  const lines = mapLines(text, (line) => defaultLine(line, devices, target));
  const values = linesOf(lines).flatMap(
    (line) => /^\s*GRUB_CMDLINE_LINUX(?:_DEFAULT)?=(.*)$/.exec(line)?.[1]?.replace(/["']/g, ' ') ?? [],
  );
  const missing = missingConsoles(values.join(' '), target.consoles);
  if (missing.length === 0) return lines;
  if (!hasLine(lines, /^\s*GRUB_CMDLINE_LINUX=/)) {
    const head = lines === '' || lines.endsWith('\n') ? lines : `${lines}\n`;
    return `${head}GRUB_CMDLINE_LINUX="${addConsoles('', missing)}"\n`;
  }
  // A value that is pieced together is its owner's art.
  return mapLines(lines, (line) => {
    const [, key, quote = '"', inside, bare = ''] = ASSIGNED.exec(line) ?? [];
    return key === undefined ? line : `${key}${quote}${addConsoles(inside ?? bare, missing)}${quote}`;
  });
}

function defaultLine(line: string, devices: DeviceNames, target: TargetMachine): string {
  if (COMMAND_LINE.test(line)) return inQuotes(line, devices, target, false);
  if (/^\s*GRUB_DISABLE_LINUX_(?:PART)?UUID=["']?true["']?\s*$/.test(line)) return `#${line}`;
  return serialLine(line, target);
}

/** A shell's assignment of kernel parameters; only what stands in one pair of quotes gets consoles. */
function inQuotes(line: string, devices: DeviceNames, target: TargetMachine, adds: boolean): string {
  const stable = stableParameters(line, devices);
  const [whole, head = '', quote = '', value = ''] = /^([^="']+=)(["'])(.*)\2\s*$/.exec(stable) ?? [];
  if (whole === undefined) return stable;
  const change = adds ? withConsoles : withoutForeignConsoles;
  return `${head}${quote}${change(value, target.consoles)}${quote}`;
}
