import { MemoryGuest } from '../adjust/testing/memory-guest';
import { listBootKernels } from './boot-kernels';

const kernelsOf = (...paths: string[]) =>
  listBootKernels(new MemoryGuest(Object.fromEntries(paths.map((path) => [path, '']))));

describe('the kernels that a guest can start', () => {
  it.each([
    ['Debian', '/boot/vmlinuz-6.1.0-18-amd64', '/boot/initrd.img-6.1.0-18-amd64'],
    [
      'the Red Hat family',
      '/boot/vmlinuz-5.14.0-362.el9.x86_64',
      '/boot/initramfs-5.14.0-362.el9.x86_64.img',
    ],
    ['SUSE', '/boot/vmlinuz-5.14.21-150500.53-default', '/boot/initrd-5.14.21-150500.53-default'],
    ['Red Hat before dracut', '/boot/vmlinuz-2.6.18-398.el5', '/boot/initrd-2.6.18-398.el5.img'],
  ])('are found by the names of %s', async (_family, imagePath, initramfsPath) => {
    const version = imagePath.slice('/boot/vmlinuz-'.length);
    expect(await kernelsOf(imagePath, initramfsPath)).toEqual([{ version, imagePath, initramfsPath }]);
  });

  it('are found by entries of the Boot Loader Specification, below the partition that the entry means', async () => {
    const entry = 'title Fedora\nversion 6.8.5\nlinux /abc/6.8.5/linux\ninitrd /abc/6.8.5/initrd\n';
    const files = new MemoryGuest({
      '/boot/efi/loader/entries/abc-6.8.5.conf': entry,
      '/boot/efi/abc/6.8.5/linux': '',
      '/boot/efi/abc/6.8.5/initrd': '',
    });
    expect(await listBootKernels(files)).toEqual([
      {
        version: '6.8.5',
        imagePath: '/boot/efi/abc/6.8.5/linux',
        initramfsPath: '/boot/efi/abc/6.8.5/initrd',
      },
    ]);
  });

  it('come in the order of their versions as numbers', async () => {
    const kernels = await kernelsOf('/boot/vmlinuz-6.10.0', '/boot/vmlinuz-6.9.0', '/boot/vmlinuz-5.4.0');
    expect(kernels.map(({ version }) => version)).toEqual(['5.4.0', '6.9.0', '6.10.0']);
  });

  it('have no version that would lead out of the folder of their modules', async () => {
    expect(await kernelsOf('/boot/vmlinuz-..', '/boot/vmlinuz-0 rescue', '/boot/vmlinuz-$(id)')).toEqual([]);
  });
});
