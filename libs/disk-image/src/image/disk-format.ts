import { DiskUnusable } from '../errors';
import { type ByteSource, openReadOnly, readIfThere } from './byte-source';
import { QCOW2_MAGIC, readQcow2Header } from './qcow2-header';

export type DiskFormat = 'raw' | 'qcow2';

export interface DiskShape {
  readonly format: DiskFormat;
  readonly virtualSizeBytes: number;
}

/** Raw bytes of a disk never begin like this; what to call it, and where the letters stand. */
const FOREIGN: readonly { readonly name: string; readonly magic: Buffer; readonly at?: number }[] = [
  { name: 'a VMDK image', magic: Buffer.from('KDMV') },
  { name: 'a VMDK descriptor', magic: Buffer.from('# Disk DescriptorFile') },
  { name: 'a VHDX image', magic: Buffer.from('vhdxfile') },
  { name: 'a VHD image', magic: Buffer.from('conectix') },
  { name: 'a VDI image', magic: Buffer.from([0x7f, 0x10, 0xda, 0xbe]), at: 64 },
  { name: 'a QED image', magic: Buffer.from('QED\0') },
  { name: 'a gzip file', magic: Buffer.from([0x1f, 0x8b, 0x08]) },
  { name: 'an xz file', magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]) },
  { name: 'a zstd file', magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  { name: 'a zip or OVA file', magic: Buffer.from('PK\x03\x04') },
  { name: 'a tar or OVA file', magic: Buffer.from('ustar'), at: 257 },
];

/** Reads which format the image has, unless `format` says so already, and how large its disk is. */
export async function readDiskShape(source: ByteSource, format?: DiskFormat): Promise<DiskShape> {
  const head = (await readIfThere(source, 0, Math.min(512, source.sizeBytes))) ?? Buffer.alloc(0);
  const isQcow2 = head.length >= 4 && head.readUInt32BE(0) === QCOW2_MAGIC;
  if (format === 'qcow2' || (format === undefined && isQcow2))
    return { format: 'qcow2', virtualSizeBytes: (await readQcow2Header(source)).virtualSizeBytes };

  for (const { name, magic, at = 0 } of FOREIGN)
    if (head.subarray(at, at + magic.length).equals(magic) && !isBootable(head))
      throw new DiskUnusable(
        'DISK_FORMAT_UNSUPPORTED',
        `This is ${name}; raw and qcow2 disks are taken here. Unpack it, or convert it with "qemu-img convert -O raw".`,
      );
  return { format: 'raw', virtualSizeBytes: source.sizeBytes };
}

/** The format that the first bytes of a file tell. Rejects as `readDiskShape` and `openReadOnly` do. */
export async function detectFormat(path: string): Promise<DiskFormat> {
  const source = await openReadOnly(path);
  try {
    return (await readDiskShape(source)).format;
  } finally {
    await source.close();
  }
}

/** A boot sector's code may hold any letters; what ends like a boot sector is one. */
function isBootable(head: Buffer): boolean {
  return head.length >= 512 && head.readUInt16LE(510) === 0xaa55;
}
