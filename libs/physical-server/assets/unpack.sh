#!/bin/sh
# unpack.sh ROOT ARCHIVE...: unpacks packages into an empty root whose /bin, /lib and /sbin are those of /usr. Owners
# come when dpkg installs the same packages.
set -eu
root=$1
shift

chmod 755 "$root"
for name in bin sbin lib lib64; do
  mkdir -p "$root/usr/$name"
  ln -s "usr/$name" "$root/$name"
done
for archive in "$@"; do
  # As a stream, as dpkg-deb's own --extract would put folders in the place of those links.
  dpkg-deb --fsys-tarfile "$archive" |
    tar --extract --directory "$root" --no-same-owner --preserve-permissions --keep-directory-symlink
done
# enter.sh mounts here.
mkdir -p "$root/media" "$root/mnt"
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: >"$root/var/lib/dpkg/status"
: >"$root/var/lib/dpkg/available"
