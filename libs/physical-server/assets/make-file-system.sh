#!/bin/sh
# Inside the new root, by its own mke2fs: fills the partition of the workshop's disk with the new root.
set -eu
cd /media
. ./file-system.conf
MKE2FS_CONFIG=/media/mke2fs.conf mke2fs -q -F -t ext4 -E "offset=$offset_bytes,root_owner=0:0,lazy_itable_init=0" \
  -d /mnt result/disk.raw "$size"
