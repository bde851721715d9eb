import { randomFrom } from '../../testing/synthetic-disks';
import { describeMachine } from './describe-machine';
import { parseOvf } from './ovf';

const IMAGE = 'The OVA';
const GIB = 1024 ** 3;

const envelope = (files: string, disks: string): string => `<?xml version='1.0' encoding='UTF-8'?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:o="http://schemas.dmtf.org/ovf/envelope/1">
  <References>${files}</References>
  <DiskSection><Info>disks</Info>${disks}</DiskSection>
</Envelope>`;
const FILE = '<File o:href="disk1.vmdk" o:id="file1" o:size="1"/>';
const disk = (attributes: string): string =>
  `<Disk o:diskId="d1" o:fileRef="file1" o:format="http://x#streamOptimized" ${attributes}/>`;

describe('reading an OVF descriptor', () => {
  it.each([
    ['in bytes', 'o:capacity="8589934592"'],
    ['in GiB', 'o:capacity="8" o:capacityAllocationUnits="byte * 2^30"'],
    ['without spaces', 'o:capacity="8192" o:capacityAllocationUnits="byte*2^20"'],
  ])('tells a disk whose size is given %s', (_how, attributes) =>
    expect(parseOvf(IMAGE, envelope(FILE, disk(attributes)))).toEqual([
      {
        diskId: 'd1',
        virtualBytes: 8 * GIB,
        fileName: 'disk1.vmdk',
        isGzipped: false,
        formatUri: 'http://x#streamOptimized',
      },
    ]),
  );

  it('leaves disks without content out', () =>
    expect(parseOvf(IMAGE, envelope('', '<Disk o:diskId="d1" o:capacity="1" o:format="x"/>'))).toEqual([]));

  it.each([
    ['is no envelope', 'DISK_DAMAGED', '<html/>'],
    ['is no XML', 'DISK_DAMAGED', 'Envelope'],
    ['names no file', 'DISK_DAMAGED', envelope('', disk('o:capacity="512"'))],
    ['has two files of one id', 'DISK_DAMAGED', envelope(FILE + FILE, disk('o:capacity="512"'))],
    ['has no size', 'DISK_DAMAGED', envelope(FILE, disk(''))],
    ['has a size of nothing', 'DISK_DAMAGED', envelope(FILE, disk('o:capacity="0"'))],
    [
      'has a size that refers to a property',
      'DISK_FORMAT_UNSUPPORTED',
      envelope(FILE, disk('o:capacity="${disk}"')),
    ],
    [
      'has unknown units',
      'DISK_FORMAT_UNSUPPORTED',
      envelope(FILE, disk('o:capacity="8" o:capacityAllocationUnits="furlong"')),
    ],
    ['is huge', 'DISK_TOO_LARGE', envelope(FILE, disk('o:capacity="9999999999999999999"'))],
    [
      'has an unknown compression',
      'DISK_FORMAT_UNSUPPORTED',
      envelope(FILE.replace('/>', ' o:compression="bzip2"/>'), disk('o:capacity="512"')),
    ],
    ['has too many disks', 'DISK_DAMAGED', envelope(FILE, disk('o:capacity="512"').repeat(65))],
  ])('refuses one that %s', (_what, code, text) =>
    expect(() => parseOvf(IMAGE, text)).toThrow(expect.objectContaining({ code })),
  );

  it('ends with disks or a coded error on any descriptor', () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const whole = envelope(FILE, disk('o:capacity="8" o:capacityAllocationUnits="byte * 2^30"'));
    const letters = '<>/="\'&;!-[]?x1 \n';
    for (let round = 0; round < 5000; round += 1) {
      let text = whole;
      for (let change = 0; change <= random() * 4; change += 1) {
        const at = Math.floor(random() * text.length);
        const letter = letters[Math.floor(random() * letters.length)] ?? '';
        text = text.slice(0, at) + letter + text.slice(at + Math.floor(random() * 12));
      }
      try {
        parseOvf(IMAGE, text);
      } catch (error) {
        if (!/^DISK_/.test(String((error as { code?: unknown }).code)))
          throw new Error(`seed ${seed}, round ${round}: ${String(error)}`, { cause: error });
      }
    }
  });
});

describe('writing an OVF descriptor', () => {
  const machine = {
    name: 'a "b" <c>',
    cpuCount: 4,
    memoryMib: 2048,
    firmware: 'uefi',
    diskController: 'lsilogicsas',
    nicModel: 'e1000e',
    nics: [{ network: 'LAN & more' }, { network: 'LAN & more', mac: '00:50:56:00:00:02' }],
  } as const;
  const describeIt = (fileBytes: number): string =>
    describeMachine(machine, { fileName: 'a&b.vmdk', fileBytes, virtualBytes: 8 * GIB });

  it('writes what reads as the same disk', () =>
    expect(parseOvf(IMAGE, describeIt(12345))).toEqual([
      expect.objectContaining({ fileName: 'a&b.vmdk', virtualBytes: 8 * GIB, isGzipped: false }),
    ]));

  it('has the same length whatever the file has, so that its place can be kept', () => {
    const lengths = [0, 9, 10_000, 2 * 1024 ** 4].map((fileBytes) =>
      Buffer.byteLength(describeIt(fileBytes)),
    );
    expect(new Set(lengths).size).toBe(1);
    expect(describeIt(2 * 1024 ** 4)).toContain('ovf:size="2199023255552"');
  });

  it('asks for the hardware of the machine', () => {
    const text = describeIt(1);
    for (const part of [
      '<rasd:ResourceSubType>lsilogicsas</rasd:ResourceSubType>',
      '<rasd:ResourceSubType>E1000e</rasd:ResourceSubType>',
      '<rasd:Address>00:50:56:00:00:02</rasd:Address>',
      'vmw:key="firmware" vmw:value="efi"',
      '<rasd:VirtualQuantity>2048</rasd:VirtualQuantity>',
    ])
      expect(text).toContain(part);
    expect(text.match(/<Network ovf:name="LAN &amp; more">/g)).toHaveLength(1);
  });
});
