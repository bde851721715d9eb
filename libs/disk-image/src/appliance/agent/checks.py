"""Looks whether unmounted file systems are whole, and mends what needs no decision."""

import os

from devices import require_device
from programs import run
from refusal import Refusal

CHECK_SECONDS = 1500
GUEST = '/guest'


def check(args):
    device, kind, is_mending = args['device'], args['type'], args['mend']
    require_device(device)
    if kind in ('ext2', 'ext3', 'ext4'):
        return check_ext(device, is_mending)
    if kind == 'xfs':
        return check_xfs(device, is_mending)
    if kind == 'btrfs':
        return check_btrfs(device, is_mending)
    raise Refusal('UNSUPPORTED', f'{kind or "What is on " + device} cannot be checked.')


def verdict(is_clean, output, is_mended=False):
    return {'isClean': is_clean, 'isMended': is_mended, 'detail': output.strip()[-2000:]}


def check_ext(device, is_mending):
    status, output, errors = run(
        ['e2fsck', '-f', '-p' if is_mending else '-n', device], timeout=CHECK_SECONDS, ok=None,
    )
    # With -p the bits 1 and 2 say that all was mended; everything above needs a person.
    is_clean = status in (0, 1, 2, 3) if is_mending else status == 0
    return verdict(is_clean, output + errors, is_mending and status in (1, 2, 3))


def replay(device, kind):
    """A journal is replayed by mounting; the repairers do not do it."""
    status, _, errors = run(
        ['mount', '-t', kind, '-o', 'nosuid,nodev,noexec', device, GUEST], timeout=CHECK_SECONDS, ok=None,
    )
    if status != 0:
        return errors
    run(['umount', GUEST], timeout=CHECK_SECONDS)
    os.sync()
    return None


def check_xfs(device, is_mending):
    if is_mending:
        trouble = replay(device, 'xfs')
        if trouble is not None:
            return verdict(False, trouble)
    status, output, errors = run(['xfs_repair', '-n', device], timeout=CHECK_SECONDS, ok=None)
    if status == 0 or not is_mending:
        return verdict(status == 0, output + errors)
    status, output, errors = run(['xfs_repair', device], timeout=CHECK_SECONDS, ok=None)
    return verdict(status == 0, output + errors, status == 0)


def check_btrfs(device, is_mending):
    if is_mending:
        trouble = replay(device, 'btrfs')
        if trouble is not None:
            return verdict(False, trouble)
    status, output, errors = run(
        ['btrfs', 'check', '--readonly', device], timeout=CHECK_SECONDS, ok=None,
    )
    return verdict(status == 0, output + errors)
