"""The server's own work, made so that a machine that was moved carelessly cannot hide it.

It counts up, and keeps a block of memory that it rewrites slice by slice. What a slice holds follows from its place
and its generation; its checksum is worked out from what was meant to be written, never from the block, and is kept
elsewhere. A write that was lost, a page that stayed old or went to the wrong place shows when the slice is read next.

    GET /          at once; every slice was read at most one round ago (roundSeconds)
    GET /verified  after every slice was read once more, beginning with the request
"""

import hashlib
import select
import socket
import sys
import time

PORT = 8080
SLICE_BYTES = 64 * 1024
SLICE_COUNT = 256  # 16 MiB in all
TICK_SECONDS = 0.01
TICKS_PER_WRITE = 8
TICKS_PER_READ = 2
READS_PER_TICK_HURRIED = 4
REQUEST_BYTES_MAX = 8192
CONNECTIONS_MAX = 64
CONNECTION_SECONDS_MAX = 30.0


def contents(index, generation):
    return hashlib.shake_128(b"%d:%d" % (index, generation)).digest(SLICE_BYTES)


def combined(checksums):
    return hashlib.sha256(b"".join(checksums)).hexdigest()


class Block:
    def __init__(self):
        self.memory = bytearray(SLICE_BYTES * SLICE_COUNT)
        self.view = memoryview(self.memory)
        self.generations = [0] * SLICE_COUNT
        self.expected = [b""] * SLICE_COUNT
        self.found = [b""] * SLICE_COUNT
        # Slices that were not as written once stay here, whatever is written to them later.
        self.broken = set()
        self.reads = 0
        self.writes = 0
        for index in range(SLICE_COUNT):
            self.fill(index)
            self.found[index] = self.checksum(index)

    def part(self, index):
        return self.view[index * SLICE_BYTES : (index + 1) * SLICE_BYTES]

    def checksum(self, index):
        return hashlib.sha256(self.part(index)).digest()

    def fill(self, index):
        meant = contents(index, self.generations[index])
        self.expected[index] = hashlib.sha256(meant).digest()
        self.part(index)[:] = meant

    def read_next(self):
        index = self.reads % SLICE_COUNT
        self.examine(index)
        self.reads += 1

    def examine(self, index):
        self.found[index] = self.checksum(index)
        if self.found[index] != self.expected[index]:
            self.broken.add(index)

    def write_next(self):
        # Prime to the number of slices, so that each is visited, and neighbours are not written one after another.
        index = self.writes * 97 % SLICE_COUNT
        # What is there is judged before it is lost.
        self.examine(index)
        self.generations[index] += 1
        self.fill(index)
        self.found[index] = self.checksum(index)
        self.writes += 1


class Server:
    def __init__(self):
        self.started = time.monotonic()
        self.boot_id = open("/proc/sys/kernel/random/boot_id").read().strip()
        self.block = Block()
        self.counter = 0
        self.waiting = {}
        self.requests = {}
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("0.0.0.0", PORT))
        self.listener.listen(CONNECTIONS_MAX)
        self.listener.setblocking(False)

    def run(self):
        due = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= due:
                self.tick()
                # A machine that stood still does not make up for the time it missed.
                due = max(due + TICK_SECONDS, time.monotonic())
            wait = max(0.0, due - time.monotonic())
            readable, _, _ = select.select([self.listener, *self.requests], [], [], wait)
            for one in readable:
                if one is self.listener:
                    self.accept()
                else:
                    self.receive(one)

    def tick(self):
        self.counter += 1
        if self.counter % TICKS_PER_WRITE == 0:
            self.block.write_next()
        if self.counter % TICKS_PER_READ == 0:
            self.block.read_next()
        if self.waiting:
            for _ in range(READS_PER_TICK_HURRIED):
                self.block.read_next()
            for one, reads in list(self.waiting.items()):
                if self.block.reads >= reads:
                    del self.waiting[one]
                    self.answer(one, 200, self.report())
        if self.counter % 100 == 0:
            now = time.monotonic()
            for one in [one for one, (_, until) in self.requests.items() if until < now]:
                self.close(one)

    def accept(self):
        try:
            one, _ = self.listener.accept()
        except OSError:
            return
        if len(self.requests) + len(self.waiting) >= CONNECTIONS_MAX:
            one.close()
            return
        one.setblocking(False)
        self.requests[one] = (b"", time.monotonic() + CONNECTION_SECONDS_MAX)

    def receive(self, one):
        request, until = self.requests[one]
        try:
            more = one.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        request += more
        if not more or len(request) > REQUEST_BYTES_MAX:
            self.close(one)
        elif b"\r\n\r\n" in request:
            del self.requests[one]
            self.handle(one, request.split(b"\r\n", 1)[0].split(b" "))
        else:
            self.requests[one] = (request, until)

    def handle(self, one, words):
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            self.answer(one, 405, '{"error":"only GET is answered"}')
        elif words[1] == b"/":
            self.answer(one, 200, self.report())
        elif words[1] == b"/verified":
            self.waiting[one] = self.block.reads + SLICE_COUNT
        else:
            self.answer(one, 404, '{"error":"there is / and /verified"}')

    def report(self):
        block = self.block
        found, expected = combined(block.found), combined(block.expected)
        intact = found == expected and not block.broken
        fields = {
            "hostname": '"%s"' % socket.gethostname(),
            "bootId": '"%s"' % self.boot_id,
            "counter": self.counter,
            "blockBytes": len(block.memory),
            "blockSha256": '"%s"' % found,
            "blockExpectedSha256": '"%s"' % expected,
            "intact": "true" if intact else "false",
            "badSlices": len(block.broken),
            "passes": block.reads // SLICE_COUNT,
            "slicesRead": block.reads,
            "slicesWritten": block.writes,
            "roundSeconds": SLICE_COUNT * TICKS_PER_READ * TICK_SECONDS,
            "uptimeSeconds": round(time.monotonic() - self.started, 3),
        }
        return "{%s}" % ",".join('"%s":%s' % field for field in fields.items())

    def answer(self, one, status, body):
        reason = {200: "OK", 404: "Not Found", 405: "Method Not Allowed"}[status]
        head = "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        try:
            # An answer is far smaller than the socket's buffer.
            one.send((head % (status, reason, len(body)) + body).encode())
        except OSError:
            pass
        one.close()

    def close(self, one):
        del self.requests[one]
        one.close()


if __name__ == "__main__":
    server = Server()
    print("ledger: answering on port %d" % PORT, file=sys.stderr, flush=True)
    server.run()
