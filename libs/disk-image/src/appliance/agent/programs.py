"""Programs of the appliance, without a shell, each with an end."""

import os
import subprocess

from refusal import Refusal

OUTPUT_BYTES_KEPT = 1024 * 1024
ENVIRONMENT = {
    'PATH': '/usr/sbin',
    'LC_ALL': 'C.UTF-8',
    # There is no udev here: these programs make their device nodes themselves then.
    'DM_DISABLE_UDEV': '1',
    'MDADM_NO_UDEV': '1',
    'LVM_SUPPRESS_FD_WARNINGS': '1',
    'HOME': '/tmp',
}


def run(argv, stdin=b'', timeout=60, ok=(0,)):
    """Status, output and errors as text; a Refusal where the status is none of `ok` (None: all are)."""
    try:
        done = subprocess.run(
            argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=timeout, env=ENVIRONMENT, cwd='/',
        )
    except subprocess.TimeoutExpired as error:
        raise Refusal('TIMED_OUT', f'{argv[0]} did not end within {timeout} s.') from error
    except OSError as error:
        raise Refusal('FAILED', f'{argv[0]} cannot be started: {error.strerror}') from error
    output, errors = (text(part) for part in (done.stdout, done.stderr))
    if ok is not None and done.returncode not in ok:
        raise Refusal('FAILED', f'{argv[0]} ended with {done.returncode}: {(errors or output).strip()[-600:]}')
    return done.returncode, output, errors


def text(data):
    return data[-OUTPUT_BYTES_KEPT:].decode('utf-8', 'replace')


def kernel_says(lines=6):
    """The last of the kernel's messages: mount(2) itself only gives a number."""
    try:
        log = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ''
    said = []
    try:
        while True:
            try:
                record = os.read(log, 8192).decode('utf-8', 'replace')
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue
            said.append(record.split(';', 1)[-1].split('\n', 1)[0])
    finally:
        os.close(log)
    return ' / '.join(said[-lines:])
