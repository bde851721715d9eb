"""Writing files: whole, or not at all under their names."""

import contextlib
import os
import stat

from files import (
    FORBIDDING_FLAGS, PRESERVED_FLAGS, inside, open_plain, parent_and_name, read_flags, read_xattrs, resolve,
    set_preserved, sync_folder, write_flags,
)
from refusal import Refusal

DRAFTS_MAX = 8


class Drafts:
    def __init__(self, root):
        self.root = root
        self.drafts = {}
        self.draft_count = 0

    def begin(self, args):
        """A draft beside the file to be: nobody sees it under its name before it is whole."""
        if len(self.drafts) >= DRAFTS_MAX:
            raise Refusal('TOO_LARGE', 'Too many files are being written.')
        with inside(self.root):
            path = resolve(parent_and_name(args['path']))
            try:
                old = os.lstat(path)
            except FileNotFoundError:
                old = None
            if old is not None and not stat.S_ISREG(old.st_mode):
                raise Refusal('NOT_A_FILE', 'It is no plain file.')
            if old is not None and args['create']:
                raise Refusal('EXISTS', 'It is there already.')
            if old is None and not args['create']:
                raise Refusal('NOT_FOUND', 'It is not there.')
            if old is not None and old.st_nlink > 1:
                raise Refusal('HAS_LINKS', f'It has {old.st_nlink} hard links.')
            room = os.statvfs(os.path.dirname(path))
            if room.f_bavail * room.f_frsize < args['sizeBytes']:
                raise Refusal('FULL', f'{args["sizeBytes"]} bytes are needed, {room.f_bavail * room.f_frsize} are free.')
            self.draft_count += 1
            draft = os.path.join(os.path.dirname(path), f'.watari-{self.draft_count}.partial')
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.drafts[self.draft_count] = {
            'handle': handle, 'draft': draft, 'path': path, 'create': args['create'], 'left': args['sizeBytes'],
        }
        return {'draft': self.draft_count}

    def add(self, args, payload):
        draft = self.draft_of(args['draft'])
        if len(payload) > draft['left']:
            raise Refusal('FAILED', 'More comes than was said.')
        view = memoryview(payload)
        while view:
            view = view[os.write(draft['handle'], view):]
        draft['left'] -= len(payload)
        return {}

    def end(self, args):
        draft = self.draft_of(args['draft'])
        if draft['left'] != 0:
            raise Refusal('FAILED', f'{draft["left"]} bytes are missing.')
        handle, path, create = draft['handle'], draft['path'], draft['create']
        flags = 0
        with inside(self.root):
            if create:
                os.fchown(handle, create['uid'], create['gid'])
                os.fchmod(handle, create['mode'] & 0o7777)
            else:
                flags = self.take_over(handle, draft['draft'], path)
            os.fsync(handle)
            os.rename(draft['draft'], path)
            if flags:
                set_preserved(handle, flags)
            sync_folder(os.path.dirname(path))
        os.close(handle)
        del self.drafts[args['draft']]
        return {'path': path}

    def take_over(self, handle, draft, path):
        """Owner, rights, extended attributes and flags of the file that is replaced."""
        old = open_plain(path, os.O_RDONLY)
        try:
            found = os.fstat(old)
            os.fchown(handle, found.st_uid, found.st_gid)
            os.fchmod(handle, found.st_mode & 0o7777)
            for name, value in read_xattrs(path):
                os.setxattr(draft, name, value, follow_symlinks=False)
            flags = read_flags(old)
            if flags & FORBIDDING_FLAGS:
                write_flags(old, flags & ~FORBIDDING_FLAGS)
            return flags & PRESERVED_FLAGS
        finally:
            os.close(old)

    def abort(self, args):
        draft = self.draft_of(args['draft'])
        os.close(draft['handle'])
        del self.drafts[args['draft']]
        with inside(self.root), contextlib.suppress(FileNotFoundError):
            os.unlink(draft['draft'])
        return {}

    def draft_of(self, number):
        if number not in self.drafts:
            raise Refusal('NOT_FOUND', f'Nothing is written under the number {number}.')
        return self.drafts[number]
