import { damaged, quoted, unsupported, virtualBytesFrom } from '../refusals';
import { type XmlElement, XmlUnreadable, childrenOf, readXml } from '../xml/read-xml';

/** What DSP0243 1.x and 2.x descriptors tell of the disks of a virtual system. */
export interface OvfDisk {
  readonly diskId: string;
  readonly virtualBytes: number;
  /** Name of its file in the package. */
  readonly fileName: string;
  readonly isGzipped: boolean;
  /** The URI of the format, as it stands there. */
  readonly formatUri: string;
}

export const OVF_BYTES_MAX = 4 * 1024 * 1024;
const DISKS_MAX = 64;
/** `byte`, `byte * 2^30`: the only units that sizes of disks have. */
const UNITS = /^byte(?:\s*\*\s*2\s*\^\s*(\d{1,2}))?$/;

/** Reads the disks of a descriptor that have content; empty ones are left out. */
export function parseOvf(image: string, text: string): OvfDisk[] {
  const root = readDescriptor(image, text);
  if (root.name !== 'Envelope') throw damaged(image, 'its descriptor is no OVF envelope');
  const files = new Map<string, XmlElement>();
  for (const file of childrenOf(childrenOf([root], 'References'), 'File')) {
    const id = attributeOf(image, file, 'id');
    if (files.has(id)) throw damaged(image, `its descriptor has two files ${quoted(id)}`);
    files.set(id, file);
  }
  // Version 1 calls it DiskSection; early writers called it by the general name.
  const sections = childrenOf([root], 'DiskSection');
  const disks = childrenOf(sections, 'Disk');
  if (disks.length > DISKS_MAX) throw damaged(image, `its descriptor has more than ${DISKS_MAX} disks`);
  return disks.flatMap((disk) => {
    const fileRef = disk.attributes.get('fileRef');
    if (fileRef === undefined) return [];
    if (disk.attributes.has('parentRef'))
      throw unsupported(
        image,
        'holds a disk that is a snapshot of another',
        'Consolidate the snapshots of the virtual machine, then export it again.',
      );
    const file = files.get(fileRef);
    if (!file) throw damaged(image, `its descriptor has no file ${quoted(fileRef)}`);
    return [diskOf(image, disk, file)];
  });
}

function diskOf(image: string, disk: XmlElement, file: XmlElement): OvfDisk {
  if (file.attributes.has('chunkSize'))
    throw unsupported(image, 'holds a disk cut into chunks', 'Export it again without chunks.');
  const compression = file.attributes.get('compression') ?? 'identity';
  if (compression !== 'identity' && compression !== 'gzip' && compression !== '')
    throw unsupported(
      image,
      `holds a disk compressed by ${quoted(compression)}`,
      'Export it again without compression, or with gzip.',
    );
  return {
    diskId: attributeOf(image, disk, 'diskId'),
    virtualBytes: capacityOf(image, disk),
    fileName: attributeOf(image, file, 'href'),
    isGzipped: compression === 'gzip',
    formatUri: attributeOf(image, disk, 'format'),
  };
}

function capacityOf(image: string, disk: XmlElement): number {
  const capacity = attributeOf(image, disk, 'capacity');
  const units = UNITS.exec(disk.attributes.get('capacityAllocationUnits') ?? 'byte');
  if (!/^\d{1,19}$/.test(capacity) || !units)
    throw unsupported(
      image,
      `says that a disk has ${quoted(capacity)} ${quoted(disk.attributes.get('capacityAllocationUnits') ?? '')}`,
      'Export the virtual machine again, with the size of its disks in bytes.',
    );
  return virtualBytesFrom(image, BigInt(capacity) * 2n ** BigInt(units[1] ?? 0));
}

function attributeOf(image: string, element: XmlElement, name: string): string {
  const value = element.attributes.get(name);
  if (value === undefined || value === '')
    throw damaged(image, `its descriptor has a ${element.name} without ${name}`);
  return value;
}

function readDescriptor(image: string, text: string): XmlElement {
  try {
    return readXml(text);
  } catch (error) {
    if (error instanceof XmlUnreadable)
      throw damaged(image, `its descriptor cannot be read: ${error.message}`);
    throw error;
  }
}
