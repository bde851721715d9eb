import { notablePackages } from './applications';
import { closureOf, parseKernelModules } from './kernel-modules';
import { parseOsRelease, plain } from './operating-system';

describe("a guest's files", () => {
  it('takes os-release as text: nothing in it is expanded', () => {
    const words = parseOsRelease(`NAME="Debian"\nPRETTY_NAME='$(touch x)'\nID=debian\nbroken\n`);
    expect([...words]).toEqual([
      ['NAME', 'Debian'],
      ['PRETTY_NAME', '$(touch x)'],
      ['ID', 'debian'],
    ]);
  });

  it('shows no control characters of a guest', () =>
    expect(plain('a\u001b[31mb\u009bc\n', 50)).toBe('a [31mb c'));

  it('names what is installed, not what was', () => {
    const status = [
      'Package: nginx-core\nStatus: install ok installed\nVersion: 1.22\n',
      'Package: nginx\nStatus: install ok installed\nVersion: 1.22\n',
      'Package: mysql-server-8.0\nStatus: deinstall ok config-files\nVersion: 8.0\n',
      'Package: bash\nStatus: install ok installed\nVersion: 5\n',
    ].join('\n');
    expect(notablePackages(status)).toEqual([{ name: 'nginx', version: '1.22' }]);
  });

  it('finds a module with what it needs, packed or not, by either spelling', () => {
    const modules = parseKernelModules(
      'kernel/a/virtio-blk.ko.xz: kernel/b/virtio.ko.xz\nkernel/b/virtio.ko.xz:\n../../etc/shadow.ko:\n',
      'kernel/fs/ext4/ext4.ko\n',
    );
    expect(closureOf(modules, 'virtio_blk')).toEqual(['kernel/b/virtio.ko.xz', 'kernel/a/virtio-blk.ko.xz']);
    expect(closureOf(modules, 'shadow')).toBeUndefined();
    expect(modules.builtin.has('ext4')).toBe(true);
  });
});
