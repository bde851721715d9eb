import { recipeHash } from './recipe';
import { SERVER } from './server';
import { serverFiles } from './server-files';

const FACTS = {
  codename: 'bookworm',
  aptSources: 'Types: deb\n',
  machineId: 'ab'.repeat(16),
  kernelRelease: '6.1.0-1-amd64',
};
const textOf = (path: string) => serverFiles(FACTS).find((one) => one.path === path)?.text ?? '';

describe("the server's settings", () => {
  it('name the disk as SATA does, in fstab and on the kernel command line, and by nothing else', () => {
    expect(textOf('/etc/fstab')).toMatch(/^\/dev\/sda1 \/ ext4 /m);
    expect(textOf('/boot/grub/grub.cfg')).toMatch(
      /linux\s+\/boot\/vmlinuz-6\.1\.0-1-amd64 root=\/dev\/sda1 .*console=ttyS0/,
    );
    for (const { text } of serverFiles(FACTS)) expect(text).not.toMatch(/(=|^)UUID=|\/dev\/vd/m);
  });

  it('put drivers for SATA alone into the initramfs', () => {
    expect(textOf('/etc/initramfs-tools/conf.d/own-hardware')).toMatch(/^MODULES=list$/m);
    const modules = textOf('/etc/initramfs-tools/modules')
      .split('\n')
      .filter((line) => line && !line.startsWith('#'));
    expect(modules).toEqual(['ahci', 'sd_mod', 'ext4']);
  });

  it('bind the address to a name that is bound to the card', () => {
    const rule = textOf('/etc/udev/rules.d/70-persistent-net.rules');
    expect(rule).toContain(`ATTR{address}=="${SERVER.mac}"`);
    const name = /NAME="([^"]+)"/.exec(rule)?.[1];
    expect(textOf('/etc/network/interfaces')).toMatch(new RegExp(`^iface ${name} inet static$`, 'm'));
  });

  it('make another disk for another release, and the same for the same', async () => {
    expect(await recipeHash('bookworm')).toBe(await recipeHash('bookworm'));
    expect(await recipeHash('bookworm')).not.toBe(await recipeHash('trixie'));
  });
});
