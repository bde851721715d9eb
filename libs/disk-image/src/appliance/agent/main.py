"""The appliance's one process: answers the host's requests, one after the other."""

import os
import sys
import time

sys.path.insert(0, '/usr/lib/watari')

from channel import Channel, Ended
from checks import check
from devices import Devices
from drafts import Drafts
from files import Files
from mounts import GUEST, Mounts
from programs import run
from refusal import Refusal, code_of

PORT = '/dev/vport0p1'
PORT_SECONDS_MAX = 20


def plain(operation):
    return lambda args, payload: operation(args)


def alone(operation):
    return lambda args, payload: operation()


class Agent:
    def __init__(self, is_read_only):
        devices, mounts, files, drafts = Devices(is_read_only), Mounts(), Files(GUEST), Drafts(GUEST)
        self.devices, self.mounts = devices, mounts
        self.operations = {
            'scan': alone(devices.scan),
            'open-luks': lambda args, payload: devices.open_luks(args['device'], payload),
            'mount': plain(mounts.mount),
            'unmount': alone(mounts.unmount),
            'subvolumes': alone(mounts.subvolumes),
            'check': plain(self.check),
            'stat': self.on_guest(files.stat),
            'list': self.on_guest(files.list),
            'read': self.on_guest(files.read),
            'read-link': self.on_guest(files.read_link),
            'attributes': self.on_guest(files.attributes),
            'set-attributes': self.on_guest(files.set_attributes),
            'begin-write': self.on_guest(drafts.begin),
            'write-part': drafts.add,
            'end-write': self.on_guest(drafts.end),
            'abort-write': self.on_guest(drafts.abort),
            'remove': self.on_guest(files.remove),
            'rename': self.on_guest(files.rename),
            'make-directory': self.on_guest(files.make_directory),
            'remove-directory': self.on_guest(files.remove_directory),
            'make-symlink': self.on_guest(files.make_symlink),
            'space': self.on_guest(files.space),
            'digest': self.on_guest(files.digest),
            'run': self.run_program,
            'shut-down': alone(self.shut_down),
        }

    def on_guest(self, operation):
        def run_it(args, payload):
            self.mounts.require_some()
            return operation(args)
        return run_it

    def check(self, args):
        self.mounts.require_none()
        return check(args)

    def shut_down(self):
        self.mounts.unmount()
        self.devices.release()
        os.sync()
        return {}

    def run_program(self, args, payload):
        status, output, errors = run(args['argv'], stdin=payload, timeout=args['timeoutS'], ok=None)
        return {'status': status, 'stdout': output[-65536:], 'stderr': errors[-65536:]}

    def answer(self, request, payload):
        """The answer, and the bytes that go with it."""
        try:
            result = self.operations[request['op']](request['args'], payload)
            data = b''
            if isinstance(result, tuple):
                result, data = result
            return {'id': request['id'], 'ok': True, 'result': result}, data
        except Refusal as refusal:
            error = {'code': refusal.code, 'message': str(refusal)[:2000]}
        except OSError as problem:
            error = {'code': code_of(problem), 'message': (problem.strerror or 'it failed')[:2000]}
        except MemoryError:
            error = {'code': 'NO_MEMORY', 'message': 'There is too little memory for it.'}
        except Exception as problem:
            error = {'code': 'FAILED', 'message': f'{type(problem).__name__}: {problem}'[:2000]}
        return {'id': request['id'], 'ok': False, 'error': error}, b''


def serve():
    until = time.monotonic() + PORT_SECONDS_MAX
    while not os.path.exists(PORT) and time.monotonic() < until:
        time.sleep(0.01)
    with open('/proc/cmdline', encoding='ascii') as file:
        words = file.read().split()
    channel = Channel(PORT)
    agent = Agent('watari.readonly' in words)
    channel.send({'id': 0, 'ok': True, 'result': {'protocol': 1, 'uptimeS': time.clock_gettime(time.CLOCK_BOOTTIME)}})
    # From here on nothing more is imported: while a guest's folders stand for the root, it would be the guest's code.
    sys.path.clear()
    sys.meta_path.clear()
    while True:
        request, payload = channel.receive()
        answer, data = agent.answer(request, payload)
        channel.send(answer, data)
        if request['op'] == 'shut-down' and answer['ok']:
            return


if __name__ == '__main__':
    try:
        serve()
    except Ended as end:
        print(f'appliance: {end}', flush=True)
