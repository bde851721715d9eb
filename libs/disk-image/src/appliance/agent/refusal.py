"""Why something was not done, in the words that the host knows."""

import errno

CODES = {
    errno.ENOENT: 'NOT_FOUND',
    errno.ENOTDIR: 'NOT_FOUND',
    errno.ELOOP: 'NOT_FOUND',
    errno.ENAMETOOLONG: 'NOT_FOUND',
    errno.EEXIST: 'EXISTS',
    errno.ENOTEMPTY: 'NOT_EMPTY',
    errno.ENOSPC: 'FULL',
    errno.EDQUOT: 'FULL',
    errno.EFBIG: 'FULL',
    errno.EROFS: 'READ_ONLY',
    errno.EISDIR: 'NOT_A_FILE',
    errno.ENXIO: 'NOT_A_FILE',
    errno.EIO: 'DAMAGED',
    # What XFS and ext4 say of structures that make no sense.
    errno.EUCLEAN: 'DAMAGED',
    errno.EBADMSG: 'DAMAGED',
    errno.ENOMEM: 'NO_MEMORY',
}


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def code_of(error):
    return CODES.get(error.errno, 'FAILED')
