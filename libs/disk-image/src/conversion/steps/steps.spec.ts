import { type IdentifiedPartition, findPartition, parseDeviceName } from '../../guest/block-devices';
import { deviceNames } from '../../guest/device-names';
import { randomFrom } from '../../testing/synthetic-disks';
import { lineChanges, undoLines } from '../line-changes';
import { widenLink, widenUdevRules } from './network-names';
import { stableGrubDefaults, stableKernelLines, stableResume } from './stable-boot';

const MAC = '52:54:00:00:00:01';
const NEW_MAC = '52:54:00:00:00:02';
const same = [{ oldMac: MAC, newMac: MAC }];
const moved = [{ oldMac: MAC, newMac: NEW_MAC }];

const partition = (
  number: number,
  content: IdentifiedPartition['content'],
  uuid?: string,
): IdentifiedPartition => ({
  partition: { number, startBytes: 0, sizeBytes: 1, type: '83', partUuid: `cafe0001-0${number}` },
  content,
  ...(uuid && { uuid }),
});
const ROOT = 'aaaaaaaa-0000-4000-8000-000000000001';
const partitions = [partition(1, 'ext4', ROOT), partition(2, 'swap')];
const devices = deviceNames(partitions, new Set(['sda']));

describe('names of partitions', () => {
  it.each([
    ['/dev/sda1', { disk: 'sda', partitionNumber: 1 }],
    ['/dev/nvme0n1p3', { disk: 'nvme0n1', partitionNumber: 3 }],
    ['/dev/disk/by-id/ata-ACME_1-part2', { disk: 'ata-ACME_1', partitionNumber: 2 }],
    ['/dev/sda', undefined],
    ['/dev/mapper/vg-root', undefined],
    ['UUID=1', undefined],
  ])('reads %s', (spec, expected) => expect(parseDeviceName(spec)).toEqual(expected));

  it('finds a partition by every kind of name', () => {
    for (const spec of [
      '/dev/sda1',
      `UUID="${ROOT.toUpperCase()}"`,
      `/dev/disk/by-uuid/${ROOT}`,
      'PARTUUID=cafe0001-01',
    ])
      expect(findPartition(partitions, spec)?.partition.number).toBe(1);
    expect(findPartition(partitions, 'LABEL=none')).toBeUndefined();
  });

  it('gives a name that stays to partitions of the moved disk alone', () => {
    expect(devices.stable('/dev/sda1')).toBe(`UUID=${ROOT}`);
    expect(devices.stable('/dev/sda2')).toBe('PARTUUID=cafe0001-02');
    expect(devices.stable('/dev/sdb1')).toBeUndefined();
    expect(devices.stable('/dev/sda9')).toBeUndefined();
    expect(devices.isOtherDisk('/dev/sdb1')).toBe(true);
  });

  it('does not take an ext4 partition for a swap area', () =>
    expect(devices.stable('/dev/sda1', 'swap')).toBeUndefined());
});

describe('names at boot', () => {
  it('changes the lines that start a kernel, and no others', () => {
    const menu = `# root=/dev/sda1\nset root='hd0,msdos1'\n\tlinux /vmlinuz root=/dev/sda1 ro\n\tinitrd /initrd root=/dev/sda1\n`;
    expect(stableKernelLines(menu, devices)).toBe(
      menu.replace('vmlinuz root=/dev/sda1', `vmlinuz root=UUID=${ROOT}`),
    );
  });

  it('keeps quotes in the defaults, and lets the menu use UUIDs again', () =>
    expect(
      stableGrubDefaults('GRUB_CMDLINE_LINUX="a root=/dev/sda1"\nGRUB_DISABLE_LINUX_UUID="true"', devices),
    ).toBe(`GRUB_CMDLINE_LINUX="a root=UUID=${ROOT}"\n#GRUB_DISABLE_LINUX_UUID="true"`));

  it('leaves a resume that is switched off', () =>
    expect(stableResume('RESUME=none\n', devices)).toBe('RESUME=none\n'));
});

describe('names of NICs', () => {
  const rule = `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", KERNELS=="0000:02:00.0", ATTR{address}=="${MAC}", KERNEL=="eth*", NAME="lan0"`;

  it('asks a rule no more for the slot', () =>
    expect(widenUdevRules(rule, same)).toBe(rule.replace('KERNELS=="0000:02:00.0", ', '')));

  it('adds a rule for the new address, once', () => {
    const once = widenUdevRules(rule, moved);
    expect(once.split('\n')).toHaveLength(2);
    expect(once.split('\n')[1]).toContain(NEW_MAC);
  });

  it('leaves rules of other NICs and comments', () => {
    const others = `# ${rule}\n${rule.replaceAll('01"', '09"')}`;
    expect(widenUdevRules(others, moved)).toBe(others);
  });

  it('lets a link file match by address alone', () => {
    const link = `[Match]\nMACAddress=${MAC}\nDriver=e1000e\nPath=pci-0000:02:00.0\n\n[Link]\nName=lan0\n`;
    expect(widenLink(link, same)).toBe(`[Match]\nMACAddress=${MAC}\n\n[Link]\nName=lan0\n`);
    expect(widenLink(link, moved)).toBe(`[Match]\nMACAddress=${MAC} ${NEW_MAC}\n\n[Link]\nName=lan0\n`);
    expect(widenLink(link.replaceAll(MAC, '52:54:00:00:00:09'), moved)).toContain('Driver=e1000e');
  });
});

describe('taking back lines', () => {
  it.each([
    ['a\nb\nc\n', 'a\nB\nc\n'],
    ['a\n', 'a\nnew\nlines\n'],
    ['', 'new\n'],
    ['a\nb\nc\n', 'a\nc\n'],
    ['a\nb\nc\nd', 'a\nd'],
    ['a\nb\nc', 'B\nc\nd\ne'],
    ['a\na\na\n', 'x\ny\na\n'],
  ])('gives the text back that was there: %j became %j', (before, after) =>
    expect(undoLines(after, lineChanges(before, after))).toEqual({ text: before, missing: [] }),
  );

  it('gives any text back that was edited by replacing, adding and removing lines', () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    for (let round = 0; round < 3000; round++) {
      const old = Array.from({ length: 1 + Math.floor(random() * 8) }, (_, index) => `line ${index}`);
      const now = old.flatMap((line, index) => {
        const dice = random();
        if (dice < 0.2) return [`new ${index}`];
        if (dice < 0.35) return [];
        return dice < 0.5 ? [line, `more ${index}`] : [line];
      });
      const [before, after] = [old.join('\n'), now.length > 0 ? now.join('\n') : 'all new'];
      const undone = undoLines(after, lineChanges(before, after)).text;
      if (undone !== before) throw new Error(`seed ${seed}: ${JSON.stringify({ before, after, undone })}`);
    }
  });

  it('puts a line back where it was when others came since', () => {
    const changes = lineChanges('[Match]\nDriver=e\nMAC=1\n[Link]\n', '[Match]\nMAC=1\n[Link]\n');
    expect(undoLines('# new\n[Match]\nMAC=1\n[Link]\nMTU=9\n', changes).text).toBe(
      '# new\n[Match]\nDriver=e\nMAC=1\n[Link]\nMTU=9\n',
    );
  });

  it('keeps lines that came later, and tells which are gone', () => {
    const changes = lineChanges('a\nb\n', 'A\nB\n');
    expect(undoLines('later\nA\nC\n', changes)).toEqual({ text: 'later\na\nC\n', missing: ['B'] });
  });
});
