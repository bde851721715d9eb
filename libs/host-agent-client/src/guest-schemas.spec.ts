import { type GuestSpec, GuestSpecSchema } from './guest-schemas';

const SPEC: GuestSpec = {
  guestId: 'web-1',
  memoryMiB: 512,
  vcpus: 1,
  machine: 'q35',
  disks: [{ path: '/srv/web-1.qcow2', format: 'qcow2', bus: 'virtio-blk' }],
  nics: [{ model: 'virtio-net', mac: '52:54:00:aa:bb:cc', isolated: true, forwards: [{ guestPort: 80 }] }],
};

describe('guest spec', () => {
  it('accepts a plain guest', () => {
    expect(GuestSpecSchema.parse(SPEC)).toEqual(SPEC);
  });

  it('accepts a tenant', () => {
    expect(GuestSpecSchema.parse({ ...SPEC, tenant: 'shop' })).toEqual({ ...SPEC, tenant: 'shop' });
  });

  it('writes MACs in lower case, so that one guest has one spec', () => {
    const nics = [{ ...SPEC.nics[0]!, mac: '52:54:00:AA:BB:CC' }];
    expect(GuestSpecSchema.parse({ ...SPEC, nics })).toEqual(SPEC);
  });

  it.each([
    ['a path in the id', { guestId: '../web' }],
    ['an empty id', { guestId: '' }],
    ['a relative disk path', { disks: [{ path: 'web.img', format: 'raw', bus: 'ahci' }] }],
    ['a line break in a disk path', { disks: [{ path: '/srv/a\nb', format: 'raw', bus: 'ahci' }] }],
    ['a disk without a format', { disks: [{ path: '/srv/web.img', bus: 'ahci' }] }],
    ['a multicast MAC', { nics: [{ ...SPEC.nics[0]!, mac: '53:54:00:aa:bb:cc' }] }],
    ['memory of half a MiB', { memoryMiB: 512.5 }],
    ['no processor', { vcpus: 0 }],
    ['a tenant without a name', { tenant: '' }],
    ['a tenant that reads as something else in a path', { tenant: 'a/b' }],
    ['an unknown field', { bios: '/tmp/x' }],
  ])('refuses %s', (_what, change) => {
    expect(GuestSpecSchema.safeParse({ ...SPEC, ...change }).success).toBe(false);
  });
});
