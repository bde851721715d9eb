import { ok } from 'node:assert/strict';
import type { HostTools } from '@watari/host-tools';
import { type CpioEntry, readCpio } from '../../initramfs/cpio';
import type { MemoryFiles } from './memory-guest';

/** What is packed by gzip or not at all needs no program. */
export const NO_TOOLS = {
  run: (tool: string) =>
    Promise.reject(Object.assign(new Error(`${tool} was started`), { code: 'HOST_TOOL_FAILED' })),
} as unknown as HostTools;

export const VERSION = '5.14.0-1.el9.x86_64';
export const INITRAMFS = `/boot/initramfs-${VERSION}.img`;
export const MODULES = `usr/lib/modules/${VERSION}`;

export const file = (path: string, text = ''): CpioEntry => ({
  path,
  mode: 0o100644,
  content: Buffer.from(text),
});
export const link = (path: string, target: string): CpioEntry => ({
  path,
  mode: 0o120777,
  content: Buffer.from(target),
});
export const folder = (path: string): CpioEntry => ({ path, mode: 0o040755, content: Buffer.alloc(0) });
export const DRACUT = [
  link('lib', 'usr/lib'),
  file('init'),
  file('usr/lib/dracut-lib.sh'),
  file('usr/lib/liblzma.so.5'),
  file(`${MODULES}/kernel/drivers/ata/ahci.ko.xz`),
];
export const TOOLS = [file('init'), file('scripts/functions'), file('conf/modules', 'ahci')];

export function guestWith(initramfs: Buffer, suffix = '.xz', version = VERSION): MemoryFiles {
  const modules = `/usr/lib/modules/${version}`;
  const paths = {
    virtio: `kernel/drivers/virtio/virtio.ko${suffix}`,
    pci: `kernel/drivers/virtio/virtio_pci.ko${suffix}`,
    blk: `kernel/drivers/block/virtio_blk.ko${suffix}`,
    ahci: `kernel/drivers/ata/ahci.ko${suffix}`,
  };
  return {
    [`/boot/vmlinuz-${version}`]: 'kernel',
    [`/boot/initramfs-${version}.img`]: initramfs,
    '/lib': { link: 'usr/lib' },
    [`${modules}/modules.dep`]: `${paths.virtio}:\n${paths.pci}: ${paths.virtio}\n${paths.blk}: ${paths.virtio}\n${paths.ahci}:\n`,
    [`${modules}/modules.builtin`]: '',
    [`${modules}/modules.alias`]: 'alias virtio:d00000002v* virtio_blk\n',
    ...Object.fromEntries(Object.values(paths).map((path) => [`${modules}/${path}`, `ELF of ${path}`])),
  };
}

/** The members of the archive that was put behind. */
export function added(
  files: Record<string, string>,
  before: Buffer,
  path = INITRAMFS,
): Map<string, CpioEntry> {
  const image = Buffer.from(files[path] ?? '', 'latin1');
  ok(image.subarray(0, before.length).equals(before), 'what was there is different');
  const start = Math.ceil(before.length / 4) * 4 + 4;
  ok(
    image.subarray(before.length, start).every((byte) => byte === 0),
    'there are no zeros between',
  );
  const { entries } = readCpio(image, start);
  return new Map(entries.map((entry) => [entry.path, entry]));
}

export const textOf = (entries: Map<string, CpioEntry>, path: string): string | undefined =>
  entries.get(path)?.content.toString('latin1');
