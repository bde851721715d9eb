import { parseDeviceName } from '../guest/block-devices';
import type { BlockDevice, DiskScan } from './scan';

export interface CrypttabEntry {
  readonly name: string;
  readonly spec: string;
}

/** Encrypted devices by the names that the guest gives them once they are open, from crypttab(5). */
export function parseCrypttab(text: string): CrypttabEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, spec] = line.trim().split(/\s+/);
    return !name || name.startsWith('#') || !spec ? [] : [{ name, spec }];
  });
}

/** The device of a scan that the guest means by `spec`, as in fstab(5) or by `root=`. */
export function findDevice(
  scan: DiskScan,
  spec: string,
  crypttab: readonly CrypttabEntry[] = [],
): BlockDevice | undefined {
  const { devices } = scan;
  const tagged = taggedName(spec);
  if (tagged) return byTag(devices, tagged.tag, tagged.value);
  const mapped = /^\/dev\/mapper\/(.+)$/.exec(spec)?.[1];
  if (mapped !== undefined)
    return (
      devices.find(({ path, kind }) => path === spec && kind !== 'crypt') ?? opened(scan, mapped, crypttab)
    );
  const volume = /^\/dev\/([A-Za-z0-9+_.-]+)\/([A-Za-z0-9+_.-]+)$/.exec(spec);
  const [, folder = '', name = ''] = volume ?? [];
  const logical = devices.find(({ path }) => path === `/dev/mapper/${escaped(folder)}-${escaped(name)}`);
  if (volume && logical) return logical;
  if (/^\/dev\/md[/\d]/.test(spec)) return array(devices, spec);
  return byPartition(devices, spec);
}

function taggedName(spec: string): { tag: string; value: string } | undefined {
  const [, tag, value] =
    /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.+)$/i.exec(spec) ??
    /^\/dev\/disk\/by-(uuid|label|partuuid|partlabel)\/(.+)$/.exec(spec) ??
    [];
  if (tag === undefined || value === undefined) return undefined;
  return { tag: tag.toLowerCase(), value: value.replace(/^"|"$/g, '') };
}

function byTag(devices: readonly BlockDevice[], tag: string, value: string): BlockDevice | undefined {
  const isSame = (text: string | undefined): boolean => text?.toLowerCase() === value.toLowerCase();
  switch (tag) {
    case 'uuid':
      // Members of an array share its identifier; what is made of them does not.
      return devices.find(({ content }) => content?.type !== 'linux_raid_member' && isSame(content?.uuid));
    case 'label':
      return devices.find(({ content }) => content?.type !== 'linux_raid_member' && content?.label === value);
    case 'partuuid':
      return devices.find(({ partition }) => isSame(partition?.uuid));
    default:
      return devices.find(({ partition }) => partition?.name === value);
  }
}

/** What an encrypted device holds, by the name that the guest has for it. */
function opened(scan: DiskScan, name: string, crypttab: readonly CrypttabEntry[]): BlockDevice | undefined {
  const entry = crypttab.find((one) => one.name === name);
  const outer = entry && findDevice(scan, entry.spec);
  return outer && scan.devices.find(({ kind, parents }) => kind === 'crypt' && parents.includes(outer.path));
}

/** Arrays have other numbers here than on the server, so that only an only one can be told by its number. */
function array(devices: readonly BlockDevice[], spec: string): BlockDevice | undefined {
  const arrays = devices.filter(({ kind }) => kind === 'raid');
  const part = /^\/dev\/md(?:\d+|\/[^/]+?)p(\d+)$/.exec(spec)?.[1];
  if (arrays.length !== 1) return undefined;
  if (part === undefined) return arrays[0];
  return devices.find(
    ({ partition, parents }) => partition?.number === Number(part) && parents.includes(arrays[0]?.path ?? ''),
  );
}

/** By the number alone: the letters of a disk change with its controller. */
function byPartition(devices: readonly BlockDevice[], spec: string): BlockDevice | undefined {
  const named = parseDeviceName(spec);
  const disk = devices.find(({ kind }) => kind === 'disk')?.path;
  if (!named || disk === undefined) return undefined;
  return devices.find(
    ({ partition, parents }) => partition?.number === named.partitionNumber && parents.includes(disk),
  );
}

/** As device-mapper writes names into a path. */
function escaped(name: string): string {
  return name.replaceAll('-', '--');
}
