"""A guest's files. While one is worked on, the guest's root is this process's root, so that no path and no symlink of
the guest leads anywhere else; nothing of the guest is ever run, nor opened but plain files and folders."""

import base64
import contextlib
import fcntl
import os
import stat
import struct

from refusal import Refusal

# The interpreter's own: OpenSSL reads its settings, which may name code, when it is first used, maybe below a guest.
try:
    from _sha256 import sha256
except ImportError:
    from _sha2 import sha256

HOME = os.open('/', os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
READ_BYTES_MAX = 4 * 1024 * 1024
ENTRIES_MAX = 65536
SYMLINKS_MAX = 40
XATTRS_MAX = 64
XATTR_BYTES_MAX = 64 * 1024
TREE_ENTRIES_MAX = 5_000_000
# sync, immutable, append only, nodump, noatime: what people set. The others say how the data is stored.
PRESERVED_FLAGS = 0x8 | 0x10 | 0x20 | 0x40 | 0x80
# Immutable and append only forbid to replace a file, so they are taken off before, and put on again.
FORBIDDING_FLAGS = 0x10 | 0x20
GET_FLAGS = 0x80086601
SET_FLAGS = 0x40086602


@contextlib.contextmanager
def inside(root):
    os.chroot(root)
    try:
        os.chdir('/')
        yield
    finally:
        os.fchdir(HOME)
        os.chroot('.')


def resolve(path, follow_last=True):
    """The path without symlinks; the last part may be missing. To be called inside."""
    parts = [part for part in path.split('/') if part not in ('', '.')]
    done, links = [], 0
    while parts:
        part = parts.pop(0)
        if part == '..':
            done = done[:-1]
            continue
        here = '/' + '/'.join([*done, part])
        if parts or follow_last:
            try:
                target = os.readlink(here)
            except OSError:
                target = None
            if target is not None:
                links += 1
                if links > SYMLINKS_MAX:
                    raise Refusal('NOT_FOUND', 'Its symlinks run in a circle.')
                if target.startswith('/'):
                    done = []
                parts = [one for one in target.split('/') if one not in ('', '.')] + parts
                continue
        done.append(part)
    return '/' + '/'.join(done)


def kind_of(mode):
    if stat.S_ISREG(mode):
        return 'file'
    if stat.S_ISDIR(mode):
        return 'directory'
    return 'symlink' if stat.S_ISLNK(mode) else 'other'


def describe(found):
    return {
        'kind': kind_of(found.st_mode), 'mode': found.st_mode, 'uid': found.st_uid, 'gid': found.st_gid,
        'sizeBytes': found.st_size,
    }


def open_plain(path, flags):
    """Only plain files: a named pipe would be waited for, a device would be driven."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refusal('NOT_A_FILE', 'It is no plain file.')
    return handle


def parent_and_name(path):
    parent, _, name = path.rpartition('/')
    if name in ('', '.', '..'):
        raise Refusal('NOT_A_FILE', 'The path names no file.')
    return os.path.join(resolve(parent or '/'), name)


def read_flags(handle):
    try:
        return struct.unpack('i', fcntl.ioctl(handle, GET_FLAGS, bytes(4)))[0]
    except OSError:
        return 0


def write_flags(handle, flags):
    fcntl.ioctl(handle, SET_FLAGS, struct.pack('i', flags))


def read_xattrs(path):
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []
    if len(names) > XATTRS_MAX:
        raise Refusal('TOO_LARGE', f'It has {len(names)} extended attributes.')
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)]




class Files:
    def __init__(self, root):
        self.root = root

    def stat(self, args):
        with inside(self.root):
            try:
                path = resolve(args['path'], args['follow'])
                return {'path': path, **describe(os.lstat(path))}
            except Refusal:
                return None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def list(self, args):
        entries = []
        with inside(self.root), os.scandir(resolve(args['path'])) as found:
            for entry in found:
                if len(entries) >= ENTRIES_MAX:
                    raise Refusal('TOO_LARGE', f'The folder has more than {ENTRIES_MAX} entries.')
                entries.append({'name': entry.name, **describe(entry.stat(follow_symlinks=False))})
        return sorted(entries, key=lambda entry: entry['name'])

    def read(self, args):
        length = min(args['length'], READ_BYTES_MAX)
        with inside(self.root):
            handle = open_plain(resolve(args['path']), os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size
            parts, offset, left = [], args['offset'], length
            while left > 0:
                part = os.pread(handle, left, offset)
                if not part:
                    break
                parts.append(part)
                offset += len(part)
                left -= len(part)
            return {'sizeBytes': size}, b''.join(parts)
        finally:
            os.close(handle)

    def read_link(self, args):
        with inside(self.root):
            path = parent_and_name(args['path'])
            if not stat.S_ISLNK(os.lstat(path).st_mode):
                return None
            return {'target': os.readlink(path)}

    def attributes(self, args):
        with inside(self.root):
            path = resolve(args['path'])
            handle = open_plain(path, os.O_RDONLY)
            try:
                flags = read_flags(handle)
                found = os.fstat(handle)
            finally:
                os.close(handle)
            xattrs = read_xattrs(path)
        return {
            'mode': found.st_mode & 0o7777, 'uid': found.st_uid, 'gid': found.st_gid, 'links': found.st_nlink,
            'flags': flags & PRESERVED_FLAGS,
            'mtimeNs': str(found.st_mtime_ns), 'atimeNs': str(found.st_atime_ns),
            'xattrs': [
                {'name': name, 'valueBase64': base64.b64encode(value).decode('ascii')} for name, value in xattrs
            ],
        }

    def set_attributes(self, args):
        with inside(self.root):
            path = resolve(args['path'])
            handle = open_plain(path, os.O_RDONLY)
            try:
                now = read_flags(handle)
                if now & FORBIDDING_FLAGS:
                    write_flags(handle, now & ~FORBIDDING_FLAGS)
                os.fchown(handle, args['uid'], args['gid'])
                os.fchmod(handle, args['mode'] & 0o7777)
                wanted = {one['name']: base64.b64decode(one['valueBase64']) for one in args['xattrs'][:XATTRS_MAX]}
                for name, value in read_xattrs(path):
                    if name not in wanted:
                        os.removexattr(path, name, follow_symlinks=False)
                for name, value in wanted.items():
                    os.setxattr(path, name, value, follow_symlinks=False)
                if args['times'] is not None:
                    times = args['times']
                    os.utime(handle, ns=(int(times['atimeNs']), int(times['mtimeNs'])))
                set_preserved(handle, args['flags'])
                os.fsync(handle)
            finally:
                os.close(handle)
        return {}

    def remove(self, args):
        with inside(self.root):
            path = parent_and_name(args['path'])
            os.unlink(path)
            sync_folder(os.path.dirname(path))
        return {}

    def rename(self, args):
        with inside(self.root):
            source, target = parent_and_name(args['from']), parent_and_name(args['to'])
            if os.path.lexists(target):
                raise Refusal('EXISTS', 'The new name is taken.')
            os.rename(source, target)
            sync_folder(os.path.dirname(target))
        return {}

    def make_directory(self, args):
        with inside(self.root):
            path = parent_and_name(args['path'])
            os.mkdir(path, 0o700)
            os.chown(path, args['uid'], args['gid'], follow_symlinks=False)
            os.chmod(path, args['mode'] & 0o7777)
            sync_folder(os.path.dirname(path))
        return {'path': path}

    def remove_directory(self, args):
        with inside(self.root):
            os.rmdir(parent_and_name(args['path']))
        return {}

    def make_symlink(self, args):
        with inside(self.root):
            path = parent_and_name(args['path'])
            os.symlink(args['target'], path)
            sync_folder(os.path.dirname(path))
        return {}

    def space(self, args):
        with inside(self.root):
            room = os.statvfs(resolve(args['path']))
        return {'freeBytes': room.f_bavail * room.f_frsize, 'sizeBytes': room.f_blocks * room.f_frsize}

    def digest(self, args):
        """SHA-256 over names, attributes and contents below a folder, on its own file system."""
        total, count, size = sha256(), 0, 0
        with inside(self.root):
            top = resolve(args['path'])
            device = os.lstat(top).st_dev
            pending = [top]
            while pending:
                path = pending.pop()
                found = os.lstat(path)
                if found.st_dev != device:
                    continue
                count += 1
                if count > TREE_ENTRIES_MAX:
                    raise Refusal('TOO_LARGE', f'There are more than {TREE_ENTRIES_MAX} files.')
                name = os.fsencode(path[len(top):] if top != '/' else path)
                total.update(struct.pack('>QIII', len(name), found.st_mode, found.st_uid, found.st_gid) + name)
                for xattr, value in read_xattrs(path):
                    key = os.fsencode(xattr)
                    total.update(struct.pack('>QQ', len(key), len(value)) + key + value)
                if stat.S_ISDIR(found.st_mode):
                    below = sorted(os.listdir(path), reverse=True)
                    pending.extend(os.path.join(path, one) for one in below)
                elif stat.S_ISLNK(found.st_mode):
                    target = os.fsencode(os.readlink(path))
                    total.update(struct.pack('>Q', len(target)) + target)
                elif stat.S_ISREG(found.st_mode):
                    size += found.st_size
                    total.update(struct.pack('>Q', found.st_size) + content_digest(path))
        return {'sha256': total.hexdigest(), 'entryCount': count, 'sizeBytes': size}


def content_digest(path):
    digest = sha256()
    handle = open_plain(path, os.O_RDONLY)
    try:
        while part := os.read(handle, 1024 * 1024):
            digest.update(part)
    finally:
        os.close(handle)
    return digest.digest()


def set_preserved(handle, wanted):
    now = read_flags(handle)
    flags = (now & ~PRESERVED_FLAGS) | (wanted & PRESERVED_FLAGS)
    if flags != now:
        write_flags(handle, flags)


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
