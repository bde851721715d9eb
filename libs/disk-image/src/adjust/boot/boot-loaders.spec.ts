import { ROOT_UUID, SWAP_UUID, TARGET, carryOut } from '../testing/carry-out';
import { adjustBootLoaders } from './boot-loaders';
import { loginConsoles } from './login-consoles';
import { withConsoles } from './kernel-parameters';

const MENU = '/boot/grub2/grub.cfg';
const steps = [adjustBootLoaders];
const CONSOLES = 'console=ttyS0,115200 console=tty0';
const ROOT = `root=UUID=${ROOT_UUID}`;

describe('consoles of a kernel', () => {
  it.each([
    ['ro quiet', `ro quiet ${CONSOLES}`],
    ['', CONSOLES],
    ['ro console=tty0', `ro ${CONSOLES}`],
    ['ro console=tty0 console=ttyS1,115200n8 quiet', `ro ${CONSOLES} quiet`],
    ['console=ttyS1', CONSOLES],
    ['console=tty0 console=ttyS0,9600', 'console=tty0 console=ttyS0,9600'],
    ['console=ttyS0,9600 ro', 'console=tty0 console=ttyS0,9600 ro'],
    ['ro myconsole=ttyS1 console=ttyS10', `ro myconsole=ttyS1 ${CONSOLES}`],
  ])('%j become %j', (before, after) => {
    expect(withConsoles(before, TARGET.consoles)).toBe(after);
    expect(withConsoles(after, TARGET.consoles)).toBe(after);
  });

  it('stay where the target has none of its own', () => {
    expect(withConsoles('ro quiet', [])).toBe('ro quiet');
  });
});

describe('GRUB 2', () => {
  const entry = (linux: string, initrd = 'initrd /initramfs.img'): string =>
    `menuentry 'Linux' {\n\tset root='hd0,msdos1'\n\t${linux}\n\t${initrd}\n}\n`;

  it('starts kernels with names that stay, in whatever folder its menu is', async () => {
    for (const path of ['/boot/grub/grub.cfg', MENU, '/boot/efi/EFI/redhat/grub.cfg']) {
      const { changed } = await carryOut(
        { [path]: entry('linuxefi /vmlinuz root=/dev/sda1 ro resume=/dev/sda2') },
        steps,
      );
      expect(changed[path]).toBe(entry(`linuxefi /vmlinuz ${ROOT} ro resume=UUID=${SWAP_UUID} ${CONSOLES}`));
    }
  });

  it('gives a kernel without initramfs no UUID, which it could not find', async () => {
    const menu = entry('linux /vmlinuz root=/dev/sda1 ro', '');
    const { files, leftUndone } = await carryOut({ [MENU]: menu }, steps);
    expect(files[MENU]).toContain('root=/dev/sda1');
    expect(leftUndone[0]).toContain('PARTUUID');
  });

  it("changes the kernel's line in Xen's entries, and variables of the Red Hat family", async () => {
    const menu = `set default_kernelopts="root=/dev/sda1 ro"\nmultiboot2 /xen.gz dom0_mem=1G\nmodule2 /vmlinuz root=/dev/sda1 ro\nmodule2 /initrd\n`;
    const { files } = await carryOut({ [MENU]: menu }, steps);
    expect(files[MENU]).toBe(
      `set default_kernelopts="${ROOT} ro ${CONSOLES}"\nmultiboot2 /xen.gz dom0_mem=1G\nmodule2 /vmlinuz ${ROOT} ro\nmodule2 /initrd\n`,
    );
  });

  it('talks to the first serial port', async () => {
    const tree = {
      [MENU]: 'serial --unit=1 --speed=115200\nterminal_output serial\n',
      '/etc/default/grub': 'GRUB_SERIAL_COMMAND="serial --speed=9600 --port=0x2f8"\nGRUB_CMDLINE_LINUX=""\n',
    };
    const { files } = await carryOut(tree, steps);
    expect(files[MENU]).toBe('serial --unit=0 --speed=115200\nterminal_output serial\n');
    expect(files['/etc/default/grub']).toBe(
      `GRUB_SERIAL_COMMAND="serial --speed=9600 --unit=0"\nGRUB_CMDLINE_LINUX="${CONSOLES}"\n`,
    );
  });

  it('keeps the size of its environment', async () => {
    const text = '# GRUB Environment Block\nsaved_entry=1\nkernelopts=root=/dev/sda1 ro\nboot_success=0\n';
    const { files } = await carryOut({ '/boot/grub2/grubenv': text.padEnd(1024, '#') }, steps);
    expect(files['/boot/grub2/grubenv']).toBe(
      `# GRUB Environment Block\nsaved_entry=1\nkernelopts=${ROOT} ro ${CONSOLES}\nboot_success=0\n`.padEnd(
        1024,
        '#',
      ),
    );
  });

  it('leaves an environment that is full', async () => {
    const text = `# GRUB Environment Block\nkernelopts=root=/dev/sda1 ${'x'.repeat(970)}\n`.padEnd(1024, '#');
    const { changed, leftUndone } = await carryOut({ '/boot/grub2/grubenv': text }, steps);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('full');
  });

  it('follows the link from the boot folder to the EFI partition once', async () => {
    const text = '# GRUB Environment Block\nkernelopts=root=/dev/sda1\n'.padEnd(1024, '#');
    const tree = {
      '/boot/grub2/grubenv': { link: '../efi/EFI/redhat/grubenv' },
      '/boot/efi/EFI/redhat/grubenv': text,
    };
    const { changed } = await carryOut(tree, steps);
    expect(Object.keys(changed)).toEqual(['/boot/efi/EFI/redhat/grubenv']);
  });

  it.each([
    ['GRUB_CMDLINE_LINUX="quiet"', `GRUB_CMDLINE_LINUX="quiet ${CONSOLES}"`],
    ['GRUB_CMDLINE_LINUX=', `GRUB_CMDLINE_LINUX="${CONSOLES}"`],
    ["GRUB_CMDLINE_LINUX='resume=/dev/sda2'", `GRUB_CMDLINE_LINUX='resume=UUID=${SWAP_UUID} ${CONSOLES}'`],
    [
      'GRUB_CMDLINE_LINUX_DEFAULT="console=tty0"\nGRUB_CMDLINE_LINUX=""',
      'GRUB_CMDLINE_LINUX_DEFAULT="console=tty0"\nGRUB_CMDLINE_LINUX="console=ttyS0,115200"',
    ],
    [
      'GRUB_DISABLE_LINUX_UUID="true"\nGRUB_CMDLINE_LINUX=x',
      `#GRUB_DISABLE_LINUX_UUID="true"\nGRUB_CMDLINE_LINUX="x ${CONSOLES}"`,
    ],
    ['GRUB_CMDLINE_LINUX="$(cat /x)"$OTHER', 'GRUB_CMDLINE_LINUX="$(cat /x)"$OTHER'],
    ['GRUB_TIMEOUT=5', `GRUB_TIMEOUT=5\n\nGRUB_CMDLINE_LINUX="${CONSOLES}"`.replace('\n\n', '\n')],
  ])('has defaults %j become %j', async (before, after) => {
    const { files } = await carryOut({ '/etc/default/grub': `${before}\n` }, steps);
    expect(files['/etc/default/grub']).toBe(`${after}\n`);
  });

  it('keeps bytes that it does not understand', async () => {
    const { outcomes } = await carryOut({ '/etc/default/grub': '# Gerät\nGRUB_CMDLINE_LINUX=""\n' }, steps);
    expect(outcomes[0]?.edits[0]?.content.toString('utf8')).toContain('# Gerät\n');
  });

  it('takes the disk of the target for the first one', async () => {
    const path = '/boot/grub/device.map';
    const { files } = await carryOut(
      { [path]: '(hd0)\t/dev/disk/by-id/ata-ACME_1\n(hd1)\t/dev/sdb\n' },
      steps,
    );
    expect(files[path]).toBe('(hd0)\t/dev/vda\n(hd1)\t/dev/sdb\n');
  });
});

describe('boot loader entries', () => {
  const path = '/boot/loader/entries/0123-5.14.0.x86_64.conf';

  it('have names that stay', async () => {
    const entry = (options: string): string =>
      `title Linux\nversion 5.14.0\nlinux /vmlinuz-5.14.0\ninitrd /initramfs-5.14.0.img\noptions ${options}\n`;
    const tree = { [path]: entry('root=/dev/sda1 ro'), '/etc/kernel/cmdline': 'root=/dev/sda1 ro\n' };
    const { files } = await carryOut(tree, steps);
    expect(files[path]).toBe(entry(`${ROOT} ro ${CONSOLES}`));
    expect(files['/etc/kernel/cmdline']).toBe(`${ROOT} ro ${CONSOLES}\n`);
  });

  it('that take their parameters from a variable get nothing twice', async () => {
    const { changed } = await carryOut({ [path]: 'initrd /i\noptions $kernelopts $tuned_params\n' }, steps);
    expect(changed).toEqual({});
  });

  it('without an initramfs are told', async () => {
    const { changed, leftUndone } = await carryOut({ [path]: 'linux /v\noptions root=/dev/sda1\n' }, steps);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('PARTUUID');
  });
});

describe('older boot loaders', () => {
  it("change entries, and what Debian's entries are made from", async () => {
    const path = '/boot/grub/menu.lst';
    const menu = `# kopt=root=/dev/sda1 ro\n## a comment root=/dev/sda1\ntitle Linux\nroot (hd0,0)\nkernel /boot/vmlinuz root=/dev/sda1 ro\ninitrd /boot/initrd.img\n`;
    const { files } = await carryOut({ [path]: menu }, steps);
    expect(files[path]).toBe(
      `# kopt=${ROOT} ro ${CONSOLES}\n## a comment root=/dev/sda1\ntitle Linux\nroot (hd0,0)\nkernel /boot/vmlinuz ${ROOT} ro ${CONSOLES}\ninitrd /boot/initrd.img\n`,
    );
  });

  it('change the lines of extlinux', async () => {
    const tree = {
      '/boot/extlinux/extlinux.conf': 'LABEL l0\n  LINUX /vmlinuz\n  APPEND root=/dev/sda1 ro\n',
      '/etc/default/extlinux': 'EXTLINUX_ROOT="root=/dev/sda1"\n',
    };
    const { files } = await carryOut(tree, steps);
    expect(files['/boot/extlinux/extlinux.conf']).toContain(`  APPEND ${ROOT} ro ${CONSOLES}\n`);
    expect(files['/etc/default/extlinux']).toBe(`EXTLINUX_ROOT="${ROOT}"\n`);
  });

  it('of which only their own program can make the map are told', async () => {
    const { changed, leftUndone } = await carryOut({ '/etc/lilo.conf': 'boot=/dev/sda\n' }, steps);
    expect(changed).toEqual({});
    expect(leftUndone[0]).toContain('/etc/lilo.conf');
  });
});

describe('log-ins', () => {
  const wants = '/etc/systemd/system/getty.target.wants';
  const unit = { link: '/usr/lib/systemd/system/serial-getty@.service' };

  it('are not waited for on consoles that the target has not', async () => {
    const tree = {
      [`${wants}/serial-getty@ttyS1.service`]: unit,
      [`${wants}/serial-getty@ttyS0.service`]: unit,
      [`${wants}/getty@tty1.service`]: unit,
      [`${wants}/serial-getty@a\nb.service`]: unit,
    };
    expect((await carryOut(tree, [loginConsoles])).changed).toEqual({
      '/etc/systemd/system/serial-getty@ttyS1.service': '',
    });
  });

  it('of older init systems are neither', async () => {
    const tab = (line: string): string =>
      `id:3:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\n${line}\n`;
    const line = 'S1:2345:respawn:/sbin/agetty -L /dev/ttyS1 9600 vt100';
    const tree = {
      '/etc/inittab': tab(line),
      '/etc/init/ttyS1.conf': 'exec getty\n',
      '/etc/init/tty1.conf': '',
    };
    expect((await carryOut(tree, [loginConsoles])).changed).toEqual({
      '/etc/inittab': tab(`# (on the physical server) ${line}`),
      '/etc/init/ttyS1.override': 'manual\n',
    });
  });
});

describe('hostile menus', () => {
  it('with endless lines end soon', async () => {
    const started = Date.now();
    const { changed } = await carryOut(
      { [MENU]: `linux ${'root=/dev/sda1 '.repeat(60_000)}\ninitrd x\n` },
      steps,
    );
    expect(changed).toEqual({});
    expect(Date.now() - started).toBeLessThan(5000);
  });
});
