"""What is on the disks, layer by layer: partitions, RAID, encryption, volume groups, file systems."""

import fcntl
import json
import os
import struct

from programs import run
from refusal import Refusal

BLOCK = '/sys/class/block'
DEVICES_MAX = 1024
LAYERS_MAX = 6
LVM_CONFIG = (
    'devices { scan="/dev" obtain_device_list_from_udev=0 external_device_info_source="none" '
    'use_devicesfile=0 scan_lvs=0 } '
    'activation { udev_sync=0 udev_rules=0 monitoring=0 verify_udev_operations=0 '
    'auto_activation_volume_list=[] } '
    'backup { backup=0 archive=0 } global { event_activation=0 use_lvmpolld=0 use_lvmlockd=0 } '
    'log { level=0 syslog=0 }'
)
LVM_SECONDS = 60
# Seconds are long for a few sectors; a table that is made to be slow takes minutes.
PROBE_SECONDS = 8
SECTOR_BYTES = 512
SET_READ_ONLY = 0x125D


def read_text(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read(65536).strip()
    except OSError:
        return ''


def number(text):
    return int(text) if text.isdigit() else 0


def lvm(*args):
    return run(['lvm', *args, '--config', LVM_CONFIG], timeout=LVM_SECONDS, ok=None)


class Devices:
    def __init__(self, is_read_only):
        self.is_read_only = is_read_only
        self.problems = []
        self.probed = {}
        self.slow = set()
        self.luks_names = {}

    def scan(self):
        """Brings up what can be brought up without a key, and describes all that is there then."""
        self.problems = []
        self.probed = {}
        self.slow = set()
        raid_tried, lvm_tried = set(), set()
        for _ in range(LAYERS_MAX):
            found = self.describe()
            raid = idle(found, 'linux_raid_member') - raid_tried
            groups = idle(found, 'LVM2_member') - lvm_tried
            if not raid and not groups:
                break
            if raid:
                raid_tried |= raid
                self.assemble_raid()
            elif groups:
                lvm_tried |= groups
                self.activate_groups()
        else:
            self.problems.append(f'There are more than {LAYERS_MAX} layers of devices.')
            found = self.describe()
        has_groups = any(type_of(device) == 'LVM2_member' for device in found)
        groups = self.volume_groups() if has_groups else []
        return {'devices': found, 'volumeGroups': groups, 'problems': [p[:2000] for p in self.problems[:50]]}

    def describe(self):
        names = sorted(name for name in os.listdir(BLOCK) if not name.startswith(('loop', 'ram', 'zram')))
        if len(names) > DEVICES_MAX:
            self.problems.append(f'There are {len(names)} block devices; the first {DEVICES_MAX} are shown.')
        devices = [self.describe_one(name) for name in names[:DEVICES_MAX]]
        return [device for device in devices if device['sizeBytes'] > 0]

    def describe_one(self, name):
        folder = os.path.join(BLOCK, name)
        path = f'/dev/{name}'
        device = {
            'path': path,
            'kind': 'disk',
            'sizeBytes': number(read_text(f'{folder}/size')) * SECTOR_BYTES,
            'isReadOnly': read_text(f'{folder}/ro') == '1',
            'parents': [],
        }
        partition = read_text(f'{folder}/partition')
        mapping = read_text(f'{folder}/dm/name')
        if partition:
            device['kind'] = 'partition'
            device['parents'] = ['/dev/' + os.path.basename(os.path.dirname(os.path.realpath(folder)))]
            device['partition'] = {
                'number': number(partition),
                'startBytes': number(read_text(f'{folder}/start')) * SECTOR_BYTES,
            }
        elif mapping:
            uuid = read_text(f'{folder}/dm/uuid')
            device['path'] = path = f'/dev/mapper/{mapping}'
            device['kind'] = 'crypt' if uuid.startswith('CRYPT-') else 'lvm' if uuid.startswith('LVM-') else 'other'
        elif os.path.isdir(f'{folder}/md'):
            device['kind'] = 'raid'
            device['raid'] = {
                'level': read_text(f'{folder}/md/level'),
                'memberCount': number(read_text(f'{folder}/md/raid_disks')),
                'missingCount': number(read_text(f'{folder}/md/degraded')),
            }
        if not partition:
            slaves = f'{folder}/slaves'
            names = sorted(os.listdir(slaves)) if os.path.isdir(slaves) else []
            device['parents'] = [device_path(one) for one in names][:DEVICES_MAX]
        if device['sizeBytes'] > 0:
            if self.is_read_only and not device['isReadOnly']:
                device['isReadOnly'] = make_read_only(path)
            self.probe(device)
        return device

    def probe(self, device):
        """Low-level probing: it reads the device, and no cache of earlier machines."""
        path = device['path']
        if path not in self.probed:
            self.probed[path] = self.ask_blkid(device)
        device.update(self.probed[path])
        if 'partition' in device:
            device['partition'].update(device.pop('entry', {}))

    def ask_blkid(self, device):
        path = device['path']
        # To look at a partition is to read the disk's table again.
        if not os.path.exists(path) or self.slow.intersection(device['parents']):
            return {}
        try:
            status, output, _ = run(['blkid', '-p', '-o', 'export', path], timeout=PROBE_SECONDS, ok=None)
        except Refusal as refusal:
            self.slow.add(path)
            self.problems.append(f'{path} is left out, as it cannot be looked at: {refusal}')
            return {}
        fields = dict(line.split('=', 1) for line in output.splitlines() if '=' in line)
        value = lambda name: unescape(fields.get(name, ''))[:512]
        found = {}
        if status == 8:
            found['content'] = {'type': 'ambivalent', 'uuid': '', 'label': '', 'version': ''}
        elif fields.get('TYPE'):
            found['content'] = {
                'type': value('TYPE'), 'uuid': value('UUID'), 'label': value('LABEL'), 'version': value('VERSION'),
            }
        if fields.get('PTTYPE'):
            found['table'] = {'kind': value('PTTYPE'), 'uuid': value('PTUUID')}
        if 'partition' in device:
            found['entry'] = {
                'type': value('PART_ENTRY_TYPE'), 'uuid': value('PART_ENTRY_UUID'), 'name': value('PART_ENTRY_NAME'),
            }
        return found

    def assemble_raid(self):
        options = ['--readonly'] if self.is_read_only else []
        _, output, errors = run(
            ['mdadm', '--assemble', '--scan', '--run', '--config', '/etc/mdadm.conf', *options], ok=None,
        )
        said = (output + errors).strip()
        if 'has been started' not in said and said:
            self.problems.append(f'RAID: {said}')

    def activate_groups(self):
        status, _, errors = lvm('vgchange', '--activate', 'y', '--ignoremonitoring', '--yes')
        if status < 0:
            # Volumes that lie on each other make it call itself until its stack ends.
            self.problems.append(f'LVM: its description of the volumes makes no sense (signal {-status}).')
        elif status != 0:
            self.problems.append(f'LVM: {errors.strip() or f"it ended with {status}"}')

    def volume_groups(self):
        _, output, errors = lvm(
            'fullreport', '--reportformat', 'json', '--units', 'b', '--nosuffix',
            '--configreport', 'vg', '-o', 'vg_name,vg_uuid,vg_size,vg_missing_pv_count',
            '--configreport', 'lv', '-o', 'lv_name,lv_uuid,lv_size,lv_active,lv_layout,lv_dm_path',
            '--configreport', 'pv', '-o', 'pv_name,pv_uuid',
        )
        try:
            report = json.loads(output)['report']
        except (ValueError, KeyError):
            self.problems.append(f'LVM: {errors.strip() or "its report cannot be read"}')
            return []
        return [group_of(part) for part in report[:256] if part.get('vg')]

    def open_luks(self, path, key):
        require_device(path)
        name = self.luks_names.setdefault(path, f'watari-{len(self.luks_names)}')
        if os.path.exists(f'/dev/mapper/{name}'):
            return {'path': f'/dev/mapper/{name}'}
        options = ['--readonly'] if self.is_read_only else []
        # The key goes in by standard input: command lines can be read by others, and are logged.
        status, _, errors = run(
            ['cryptsetup', 'open', '--type', 'luks', '--disable-locks', '--disable-keyring', '--batch-mode',
             '--key-file', '-', *options, path, name],
            stdin=key, timeout=240, ok=None,
        )
        if status == 0:
            return {'path': f'/dev/mapper/{name}'}
        if status == 2:
            raise Refusal('WRONG_KEY', f'The key opens no slot of {path}.')
        if status == 3:
            raise Refusal('NO_MEMORY', f'Opening {path} takes more memory than there is.')
        raise Refusal('FAILED', f'{path} cannot be opened: {errors.strip()[-400:]}')

    def release(self):
        """Takes every layer down again, the topmost first."""
        for _ in range(LAYERS_MAX):
            lvm('vgchange', '--activate', 'n')
            for name in list(self.luks_names.values()):
                if os.path.exists(f'/dev/mapper/{name}'):
                    run(['cryptsetup', 'close', '--disable-locks', name], ok=None)
            run(['mdadm', '--stop', '--scan'], ok=None)
            left = [name for name in os.listdir(BLOCK) if name.startswith(('dm-', 'md'))]
            if not [name for name in left if number(read_text(f'{BLOCK}/{name}/size')) > 0]:
                return


def make_read_only(path):
    """What lies on a read-only device takes itself for writable, and file systems then fail when they tidy up."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(handle, SET_READ_ONLY, struct.pack('i', 1))
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def group_of(part):
    group = part['vg'][0]
    return {
        'name': group['vg_name'],
        'uuid': group['vg_uuid'],
        'sizeBytes': number(group['vg_size']),
        'missingCount': number(group['vg_missing_pv_count']),
        'physicalVolumes': [
            {'path': one['pv_name'], 'uuid': one['pv_uuid']} for one in part.get('pv', [])[:DEVICES_MAX]
        ],
        'logicalVolumes': [
            {
                'name': one['lv_name'], 'uuid': one['lv_uuid'], 'sizeBytes': number(one['lv_size']),
                'isActive': one['lv_active'] == 'active', 'type': one['lv_layout'], 'path': one['lv_dm_path'],
            }
            for one in part.get('lv', [])[:DEVICES_MAX]
        ],
    }


def device_path(name):
    mapping = read_text(f'{BLOCK}/{name}/dm/name')
    return f'/dev/mapper/{mapping}' if mapping else f'/dev/{name}'


def idle(devices, kind):
    """Members that nothing has been made of yet."""
    used = {parent for device in devices if device['kind'] in ('raid', 'lvm') for parent in device['parents']}
    return {device['path'] for device in devices if type_of(device) == kind} - used


def type_of(device):
    return device.get('content', {}).get('type')


def unescape(text):
    """blkid writes shell characters behind a backslash."""
    parts, is_escaped = [], False
    for letter in text:
        if letter == '\\' and not is_escaped:
            is_escaped = True
            continue
        parts.append(letter)
        is_escaped = False
    return ''.join(parts)


def require_device(path):
    names = os.listdir(BLOCK)
    if path not in {device_path(name) for name in names}:
        raise Refusal('NOT_FOUND', f'There is no device {path}.')
