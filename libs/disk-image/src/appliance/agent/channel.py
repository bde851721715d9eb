"""Frames over the virtio-serial port: two lengths (32 bits, big-endian), JSON, then bytes as they are."""

import json
import os
import struct
import time

HEADER = struct.Struct('>II')
JSON_BYTES_MAX = 1024 * 1024
ANSWER_BYTES_MAX = 16 * 1024 * 1024
PAYLOAD_BYTES_MAX = 4 * 1024 * 1024
FIRST_BYTE_SECONDS_MAX = 60


class Ended(Exception):
    """The host is gone, or speaks something else."""


class Channel:
    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.has_begun = False

    def receive(self):
        json_bytes, payload_bytes = HEADER.unpack(self._exactly(HEADER.size))
        if json_bytes > JSON_BYTES_MAX or payload_bytes > PAYLOAD_BYTES_MAX:
            raise Ended('a frame is too long')
        request = json.loads(self._exactly(json_bytes))
        return request, self._exactly(payload_bytes)

    def send(self, answer, payload=b''):
        # Names may be any bytes: they travel as lone surrogates, which only escapes can carry.
        text = json.dumps(answer, ensure_ascii=True, separators=(',', ':')).encode('ascii')
        if len(text) > ANSWER_BYTES_MAX:
            text = json.dumps({
                'id': answer['id'], 'ok': False,
                'error': {'code': 'TOO_LARGE', 'message': 'The answer is too long.'},
            }).encode('ascii')
            payload = b''
        self._write(HEADER.pack(len(text), len(payload)) + text)
        self._write(payload)

    def _exactly(self, count):
        parts = []
        until = time.monotonic() + FIRST_BYTE_SECONDS_MAX
        while count > 0:
            part = os.read(self.file, min(count, 1024 * 1024))
            if not part:
                # Until the host has been there once, nothing to read only means that it is not there yet.
                if self.has_begun or time.monotonic() > until:
                    raise Ended('the host closed the port')
                time.sleep(0.01)
                continue
            self.has_begun = True
            parts.append(part)
            count -= len(part)
        return b''.join(parts)

    def _write(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self.file, view[: 256 * 1024]):]
