/** What the appliance is made of; apt adds what these depend on. */
export const PACKAGES: readonly string[] = [
  'linux-image-cloud-amd64',
  'busybox-static',
  'lvm2',
  'thin-provisioning-tools',
  'mdadm',
  'cryptsetup-bin',
  'xfsprogs',
  'btrfs-progs',
  'e2fsprogs',
  'util-linux',
  'fdisk',
  'python3-minimal',
  'libpython3-stdlib',
];

export const PROGRAMS: readonly string[] = [
  'blkid',
  'lvm',
  'thin_check',
  'mdadm',
  'cryptsetup',
  'e2fsck',
  'mke2fs',
  'xfs_repair',
  'mkfs.xfs',
  'btrfs',
  'mkfs.btrfs',
  'sfdisk',
];

/** Loaded at run time by name, not by the loader. */
export const LIBRARIES: readonly string[] = ['libgcc_s.so.1'];

/** Links to busybox. */
export const APPLETS: readonly string[] = ['sh', 'modprobe', 'mount', 'mkdir', 'poweroff', 'sync', 'umount'];

/** Without these the appliance cannot do what it is for. */
export const MODULES_REQUIRED: readonly string[] = [
  'virtio_pci',
  'virtio_console',
  'virtio_blk',
  'ext4',
  'xfs',
  'btrfs',
  'vfat',
  'dm_mod',
  'dm_crypt',
  'md_mod',
  'raid0',
  'raid1',
  'raid10',
  'raid456',
];

/** Loaded when a disk asks for them; kernels differ in which they have. */
export const MODULES_OPTIONAL: readonly string[] = [
  'virtio_rng',
  'dm_snapshot',
  'dm_mirror',
  'dm_thin_pool',
  'dm_raid',
  'dm_cache',
  'dm_cache_smq',
  'dm_integrity',
  'linear',
  'nls_cp437',
  'nls_ascii',
  'nls_iso8859_1',
  'nls_utf8',
  'crc32c_generic',
  'crc32c_intel',
  'xxhash_generic',
  'blake2b_generic',
  'sha256_generic',
  'sha512_generic',
  'wp512',
  'rmd160',
  'aesni_intel',
  'aes_generic',
  'cbc',
  'ecb',
  'xts',
  'lrw',
  'essiv',
  'serpent_generic',
  'twofish_generic',
  'camellia_generic',
  'adiantum',
  'af_alg',
  'algif_hash',
  'algif_skcipher',
];

export const FOLDERS: readonly string[] = ['dev', 'proc', 'sys', 'run', 'tmp', 'guest', 'etc'];

export const SYMLINKS: Readonly<Record<string, string>> = {
  bin: 'usr/sbin',
  sbin: 'usr/sbin',
  lib: 'usr/lib',
  'usr/bin': 'sbin',
  'lib64/ld-linux-x86-64.so.2': '../usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2',
};

export const SETTINGS: Readonly<Record<string, string>> = {
  // Arrays of other machines are as good as our own, and every disk is looked at.
  'etc/mdadm.conf': 'DEVICE partitions\nHOMEHOST <ignore>\nAUTO +all\nCREATE owner=root mode=0600 names=no\n',
  'etc/modprobe.conf': '',
  'etc/passwd': 'root:x:0:0:root:/tmp:/usr/sbin/sh\n',
};

/** A change of how the appliance is put together that no other part of its recipe shows. */
export const IMAGE_VERSION = 1;
