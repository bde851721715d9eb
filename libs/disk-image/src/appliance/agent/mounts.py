"""The guest's file systems, mounted below one folder as the guest would mount them."""

import os

from devices import require_device
from files import inside, resolve
from programs import kernel_says, run
from refusal import Refusal

GUEST = '/guest'
MOUNT_SECONDS = 120
MOUNTS_MAX = 32
SAFE = 'nosuid,nodev,noexec'
# What reads a file system past a journal that cannot be replayed, as the device is read-only.
PAST_JOURNAL = {'ext3': 'noload', 'ext4': 'noload', 'xfs': 'norecovery', 'btrfs': 'rescue=nologreplay'}
OPTIONS = {
    'ext2': '', 'ext3': '', 'ext4': '', 'xfs': 'nouuid', 'btrfs': '', 'vfat': 'utf8', 'iso9660': '',
}


class Mounts:
    def __init__(self):
        self.points = []

    def mount(self, args):
        device, point, kind = args['device'], args['at'], args['type']
        require_device(device)
        if kind not in OPTIONS:
            raise Refusal('UNSUPPORTED', f'{device} holds {kind or "nothing that is known"}, which is no file system that can be mounted.')
        if len(self.points) >= MOUNTS_MAX:
            raise Refusal('TOO_LARGE', f'More than {MOUNTS_MAX} file systems are mounted.')
        target = self.target_of(point)
        options = [SAFE, OPTIONS[kind]]
        subvolume = args.get('subvolume')
        if subvolume is not None:
            if kind != 'btrfs' or ',' in subvolume or '\0' in subvolume:
                raise Refusal('UNSUPPORTED', f'{kind} has no subvolume of that name.')
            options.append(f'subvol={subvolume}')
        options.append('ro' if args['isReadOnly'] else 'rw')
        is_past_journal = False
        error = self.try_mount(device, target, kind, options)
        if error and args['isReadOnly'] and kind in PAST_JOURNAL:
            is_past_journal = self.try_mount(device, target, kind, [*options, PAST_JOURNAL[kind]]) is None
        if error and not is_past_journal:
            raise Refusal('DAMAGED', f'{device} ({kind}) cannot be mounted: {error}')
        self.points.append(target)
        return {'needsRecovery': is_past_journal, 'at': target[len(GUEST):] or '/'}

    def target_of(self, point):
        if point == '/':
            if self.points:
                raise Refusal('EXISTS', 'A root is mounted already.')
            return GUEST
        self.require_some()
        # A guest may have made the mount's folder a symlink; it is followed as the guest itself would.
        with inside(GUEST):
            real = resolve(point)
            if not os.path.isdir(real):
                raise Refusal('NOT_FOUND', f'{point} is no folder.')
        return GUEST if real == '/' else GUEST + real

    def try_mount(self, device, target, kind, options):
        text = ','.join(part for part in options if part)
        status, _, errors = run(['mount', '-t', kind, '-o', text, device, target], timeout=MOUNT_SECONDS, ok=None)
        if status == 0:
            return None
        return f'{errors.strip()[-300:]} ({kernel_says()})'

    def unmount(self):
        """All of them, the innermost first; what was written is on the disk then."""
        os.sync()
        while self.points:
            status, _, errors = run(['umount', self.points[-1]], timeout=MOUNT_SECONDS, ok=None)
            if status != 0:
                raise Refusal('FAILED', f'The guest cannot be unmounted: {errors.strip()[-300:]}')
            self.points.pop()
        os.sync()
        return {}

    def subvolumes(self):
        self.require_some()
        _, output, _ = run(['btrfs', 'subvolume', 'list', GUEST])
        _, default, _ = run(['btrfs', 'subvolume', 'get-default', GUEST])
        paths = [line.split(' path ', 1)[1] for line in output.splitlines()[:4096] if ' path ' in line]
        return {'paths': paths, 'default': default.split(' path ', 1)[1].strip() if ' path ' in default else None}

    def require_some(self):
        if not self.points:
            raise Refusal('NOT_FOUND', 'No root is mounted.')

    def require_none(self):
        if self.points:
            raise Refusal('FAILED', 'File systems are still mounted.')


