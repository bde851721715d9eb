import { writeCpio } from '../../initramfs/cpio';
import { carryOut } from '../testing/carry-out';
import { MODULES, file, TOOLS, guestWith, added, NO_TOOLS } from '../testing/initramfs-guest';
import { bootDrivers } from './boot-drivers';
import { mainCompression } from './examine-initramfs';

const steps = [bootDrivers(NO_TOOLS)];

describe('how an initramfs is packed', () => {
  const early = writeCpio([file('kernel/x86/microcode/GenuineIntel.bin', 'code')]);
  const magic = (hex: string): Buffer =>
    Buffer.concat([early, Buffer.alloc(512), Buffer.from(hex, 'hex'), Buffer.alloc(64, 7)]);

  it.each([
    ['1f8b08', 'gzip'],
    ['28b52ffd', 'zstd'],
    ['fd377a585a00', 'xz'],
    ['02214c18', 'lz4'],
    ['425a6839', 'bzip2'],
    ['5d00008000', 'lzma'],
    ['894c5a4f000d0a1a0a', 'lzo'],
    ['04224d18', undefined],
    ['deadbeef', undefined],
  ])('is known by %s behind microcode: %s', (hex, expected) =>
    expect(mainCompression(magic(hex))).toBe(expected),
  );

  it('is known where nothing is packed, and not where nothing is there', () => {
    expect(mainCompression(writeCpio(TOOLS))).toBe('none');
    expect(mainCompression(Buffer.alloc(1024))).toBeUndefined();
    expect(mainCompression(Buffer.alloc(0))).toBeUndefined();
  });

  it('is refused where it is not known', async () => {
    await expect(carryOut(guestWith(magic('deadbeef')), steps)).rejects.toMatchObject({
      code: 'DISK_INITRAMFS_UNSUPPORTED',
      message: expect.stringContaining('packed in a way that is not known') as string,
    });
  });

  it.each(['425a6839', '5d00008000', '894c5a4f000d0a1a0a'])(
    'does not keep drivers out where nothing here unpacks it: %s',
    async (hex) => {
      const tree = { ...guestWith(magic(hex)), '/usr/bin/dracut': '' };
      const { files } = await carryOut(tree, steps);
      const entries = added(files, magic(hex));
      expect(entries.has(`${MODULES}/kernel/drivers/block/virtio_blk.ko.xz`)).toBe(true);
    },
  );

  it.each([
    ['mkinitcpio', [file('init'), file('init_functions')]],
    ["SUSE's mkinitrd", [file('init'), file('run_all.sh')]],
    ['booster', [file('init'), file('etc/booster.init.yaml')]],
    ['neither', [file('init')]],
  ])('and made by others is refused by name: %s', async (name, entries) => {
    await expect(carryOut(guestWith(writeCpio(entries)), steps)).rejects.toMatchObject({
      code: 'DISK_INITRAMFS_UNSUPPORTED',
      message: expect.stringContaining(name) as string,
    });
  });
});
