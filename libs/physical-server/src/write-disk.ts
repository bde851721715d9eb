import { randomInt } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootRecord } from './boot-record';
import { type Site, inRoot } from './install-root';
import { LAYOUT } from './server';

const BLOCK_BYTES = 4096;

/**
 * Named one by one, so that the disk is the same whatever mke2fs has for defaults, and that the server's GRUB can
 * read it.
 */
const MKE2FS_CONFIG = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = ${BLOCK_BYTES}
	inode_size = 256
	inode_ratio = 16384
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
	}
`;

/**
 * Writes the disk: boot record, GRUB, and one ext4 with everything below `root`, owners and modes as they are.
 * Returns its path, in the folder `result` of the workshop.
 */
export async function writeDisk(site: Site): Promise<string> {
  const { root, workshop } = site;
  const { diskBytes, partitionOffsetBytes } = LAYOUT;
  const images = join(root, 'boot/grub/i386-pc');
  const record = bootRecord({
    bootImage: await readFile(join(images, 'boot.img')),
    coreImage: await readFile(join(images, 'core.img')),
    diskBytes,
    partitionOffsetBytes,
    diskSignature: randomInt(1, 2 ** 32),
  });
  await mkdir(join(workshop, 'result'));
  const diskPath = join(workshop, 'result', 'disk.raw');
  const disk = await open(diskPath, 'wx', 0o600);
  try {
    await disk.truncate(diskBytes);
    await disk.write(record, 0, record.length, 0);
  } finally {
    await disk.close();
  }

  await writeFile(join(workshop, 'mke2fs.conf'), MKE2FS_CONFIG);
  const kib = (diskBytes - partitionOffsetBytes) / 1024;
  await writeFile(join(workshop, 'file-system.conf'), `offset_bytes=${partitionOffsetBytes}\nsize=${kib}k\n`);
  await inRoot(site, 'make-file-system.sh');
  return diskPath;
}
