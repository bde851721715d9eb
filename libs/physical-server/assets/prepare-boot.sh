#!/bin/sh
# Inside the new root, after its files were written: initramfs by the system's own settings, GRUB's images, units.
set -eu
exec 1>&2

systemctl enable ledger.service
# Timers that would make two boots differ, and a terminal that nobody looks at.
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service getty@tty1.service

update-initramfs -u -k all

images=/usr/lib/grub/i386-pc
install -d /boot/grub/i386-pc
cp "$images"/*.mod "$images"/*.lst "$images"/boot.img /boot/grub/i386-pc/
grub-mkimage --format=i386-pc --directory="$images" --prefix='(,msdos1)/boot/grub' \
  --output=/boot/grub/i386-pc/core.img biosdisk part_msdos ext2 normal configfile linux serial minicmd

rm -f /var/log/*.log /var/log/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /etc/*-
find /var/cache/ldconfig -type f -delete
