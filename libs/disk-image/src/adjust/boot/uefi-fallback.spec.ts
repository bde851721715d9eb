import { TARGET, carryOut } from '../testing/carry-out';
import { uefiFallback } from './uefi-fallback';

const steps = [uefiFallback];
const X64 = { '/lib64/ld-linux-x86-64.so.2': '' };
const DEBIAN = { ...X64, '/etc/os-release': 'ID=debian\nVERSION_ID=12\n' };
const ESP = '/boot/efi/EFI';

describe('the loader for firmware without boot entries', () => {
  it('is shim, with the GRUB that it starts and a way to the menu', async () => {
    const tree = {
      ...DEBIAN,
      [`${ESP}/debian/shimx64.efi`]: 'MZ shim',
      [`${ESP}/debian/grubx64.efi`]: 'MZ grub',
      [`${ESP}/debian/mmx64.efi`]: 'MZ mm',
      [`${ESP}/debian/grub.cfg`]: 'configfile x\n',
    };
    expect((await carryOut(tree, steps)).changed).toEqual({
      [`${ESP}/BOOT/BOOTX64.EFI`]: 'MZ shim',
      [`${ESP}/BOOT/grubx64.efi`]: 'MZ grub',
      [`${ESP}/BOOT/mmx64.efi`]: 'MZ mm',
      [`${ESP}/BOOT/grub.cfg`]:
        'search --no-floppy --set=esp --file /EFI/debian/grub.cfg\nconfigfile ($esp)/EFI/debian/grub.cfg\n',
    });
  });

  it('is GRUB itself where there is no shim', async () => {
    const tree = { ...DEBIAN, [`${ESP}/debian/grubx64.efi`]: 'MZ grub' };
    expect((await carryOut(tree, steps)).changed).toEqual({ [`${ESP}/BOOT/BOOTX64.EFI`]: 'MZ grub' });
  });

  it('stays where there is one, however its name is written', async () => {
    const tree = { ...DEBIAN, [`${ESP}/boot/bootx64.efi`]: 'MZ', [`${ESP}/debian/grubx64.efi`]: 'MZ grub' };
    expect((await carryOut(tree, steps)).changed).toEqual({});
  });

  it("is of the system that is installed, not of one that was, and not Microsoft's", async () => {
    const tree = {
      ...X64,
      '/etc/os-release': 'ID="rhel"\nVERSION_ID="9.3"\n',
      [`${ESP}/Microsoft/grubx64.efi`]: 'MZ no',
      [`${ESP}/centos/grubx64.efi`]: 'MZ old',
      [`${ESP}/redhat/grubx64.efi`]: 'MZ new',
    };
    expect((await carryOut(tree, steps)).changed).toEqual({ [`${ESP}/BOOT/BOOTX64.EFI`]: 'MZ new' });
  });

  it('is systemd-boot where that starts the system', async () => {
    const tree = { ...DEBIAN, '/efi/EFI/systemd/systemd-bootx64.efi': 'MZ sd' };
    expect((await carryOut(tree, steps)).changed).toEqual({ '/efi/EFI/BOOT/BOOTX64.EFI': 'MZ sd' });
  });

  it.each([
    ['of no processor that is known', { [`${ESP}/debian/grubx64.efi`]: 'MZ' }],
    ['that is not there', { ...DEBIAN, [`${ESP}/debian/readme`]: '' }],
    ['with a name that a menu would expand', { ...DEBIAN, [`${ESP}/a$(b)/grubx64.efi`]: 'MZ' }],
    ['that is empty', { ...DEBIAN, [`${ESP}/debian/grubx64.efi`]: '' }],
  ])('is not made of one %s', async (_name, tree) => {
    const { changed, leftUndone } = await carryOut(tree, steps);
    expect(changed).toEqual({});
    expect(leftUndone).toHaveLength(1);
  });

  it('is told of where the target needs one and its partition is not seen', async () => {
    const uefi = await carryOut(DEBIAN, steps, { target: { ...TARGET, firmware: 'uefi' } });
    expect(uefi.leftUndone[0]).toContain('EFI system partition');
    expect((await carryOut(DEBIAN, steps)).leftUndone).toEqual([]);
  });
});
