import { encrypted, damaged, needsOthers, quoted, unsupported } from '../refusals';

/** VMware, "Virtual Disk Format 5.0": the text that says which extents a disk consists of. */
export interface VmdkDescriptor {
  readonly createType: string;
  readonly extents: readonly VmdkExtent[];
}

export interface VmdkExtent {
  readonly sectors: number;
  readonly type: 'FLAT' | 'VMFS' | 'SPARSE' | 'ZERO';
  /** None for zeros, which are in no file. Not checked yet: a path is possible. */
  readonly name?: string;
  /** Where the extent begins in its file; 0 for sparse ones. */
  readonly offsetSectors: number;
}

export const DESCRIPTOR_BYTES_MAX = 1024 * 1024;
const LINES_MAX = 20_000;
/** 2 GB each, they make 16 TB. */
const EXTENTS_MAX = 8192;
const NO_PARENT = 0xffffffff;

const TITLE = /^# Disk DescriptorFile\s*$/;
const EXTENT =
  /^(RW|RDONLY|NOACCESS)[ \t]+(\d{1,15})[ \t]+([A-Z]{1,16})(?:[ \t]+"([^"]{0,1000})"(?:[ \t]+(\d{1,15}))?)?[ \t]*$/;

/** Whether a file begins as a descriptor does. */
export function isVmdkDescriptor(head: Buffer): boolean {
  return head.toString('latin1').startsWith('# Disk DescriptorFile');
}

/** Reads a descriptor. What would lead a reader to a parent disk, a device or a snapshot is refused. */
export function parseVmdkDescriptor(image: string, text: string): VmdkDescriptor {
  // Writers fill the rest of its sectors with zeros.
  const [content = ''] = text.split('\0', 1);
  const lines = content.split(/\r?\n/);
  if (!TITLE.test(lines[0] ?? '')) throw damaged(image, 'its descriptor does not begin as one');
  if (lines.length > LINES_MAX) throw damaged(image, `its descriptor has more than ${LINES_MAX} lines`);

  const settings = new Map<string, string>();
  const extents: VmdkExtent[] = [];
  for (const line of lines) {
    if (/^\s*(#|$)/.test(line)) continue;
    if (/^(RW|RDONLY|NOACCESS)\s/.test(line)) extents.push(parseExtent(image, line));
    else addSetting(image, settings, line);
    if (extents.length > EXTENTS_MAX) throw damaged(image, `it has more than ${EXTENTS_MAX} extents`);
  }
  refuseParents(image, settings);
  if (settings.has('encryption.keysafe')) throw encrypted(image);
  if (extents.length === 0) throw damaged(image, 'its descriptor names no extent');
  const createType = settings.get('createtype');
  if (createType === undefined) throw damaged(image, 'its descriptor does not say what kind of disk it is');
  return { createType, extents };
}

function parseExtent(image: string, line: string): VmdkExtent {
  const found = EXTENT.exec(line);
  if (!found) throw damaged(image, `its descriptor has the line ${quoted(line)}`);
  const [, access, sectors, type, name, offset] = found;
  if (access !== 'RW')
    throw unsupported(
      image,
      `has an extent that may not be written (${quoted(access ?? '')})`,
      'Export the disk as a whole from the platform that it comes from.',
    );
  const sizes = { sectors: Number(sectors), offsetSectors: Number(offset ?? 0) };
  if (sizes.sectors === 0) throw damaged(image, 'it has an extent without a size');
  if (type === 'ZERO') return { ...sizes, type };
  if (type !== 'FLAT' && type !== 'VMFS' && type !== 'SPARSE')
    throw unsupported(
      image,
      `has an extent of the kind ${quoted(type ?? '')}`,
      'Devices and snapshots are not taken: clone the disk into a file of its own ("vmkfstools -i", or an export).',
    );
  if (name === undefined) throw damaged(image, `its descriptor has the line ${quoted(line)}`);
  return { ...sizes, type, name };
}

function addSetting(image: string, settings: Map<string, string>, line: string): void {
  const at = line.indexOf('=');
  if (at < 1) throw damaged(image, `its descriptor has the line ${quoted(line)}`);
  const key = line.slice(0, at).trim().toLowerCase();
  const value = line
    .slice(at + 1)
    .trim()
    .replace(/^"(.*)"$/, '$1');
  if (settings.has(key) && settings.get(key) !== value && !key.startsWith('ddb.'))
    throw damaged(image, `its descriptor says ${quoted(key)} twice`);
  settings.set(key, value);
}

function refuseParents(image: string, settings: ReadonlyMap<string, string>): void {
  const parent = settings.get('parentcid');
  const hasParent = parent !== undefined && parseInt(parent, 16) !== NO_PARENT;
  if (!hasParent && !settings.has('parentfilenamehint')) return;
  throw needsOthers(
    image,
    'is a snapshot that names a parent disk',
    'Consolidate the snapshots of the virtual machine, then export the disk again.',
  );
}
