#!/bin/sh
# Runs a script inside the new root: enter.sh ROOT WORKSHOP SCRIPT
#
# To be started in mount and pid namespaces of its own, as root of them: every mount and every process made here ends
# with this script, however it ends. Inside there are
#
#     /media  the workshop, with SCRIPT in it        /mnt  the new root as it will be, without anything mounted in it
#
# With a folder "fakeroot" in the workshop, owners that this user cannot give to files are remembered in its place.
set -eu
root=$1 workshop=$2 script=$3

mount --bind "$root" "$root/mnt"
mount --bind "$workshop" "$root/media"
# A machine that forbids a new proc still shows us the one that is there.
mount -t proc -o nosuid,nodev,noexec proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
mount -t tmpfs -o mode=0755 dev "$root/dev"
for name in null zero full random urandom tty; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

set -- /bin/sh "/media/$script"
if [ -d "$workshop/fakeroot" ]; then
  : >>"$workshop/owners"
  own=/media/fakeroot/usr
  # The kernel knows no other users in here and would refuse their numbers as invalid.
  set -- /usr/bin/env FAKEROOTDONTTRYCHOWN=1 /bin/sh $own/bin/fakeroot-sysv --lib $own/lib/x86_64-linux-gnu/libfakeroot/libfakeroot-sysv.so \
    --faked $own/bin/faked-sysv -i /media/owners -s /media/owners -- "$@"
fi
exec chroot "$root" /usr/bin/env -i \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true "$@"
