import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAC, makeFakeServer } from '@watari/disk-image/testing';
import { type HostTools, createHostTools, ensureHostTools } from '@watari/host-tools';
import { DISK_TOOLS } from './demo/demo';
import { interruptCommandLine, runCommandLine } from './testing/cli-process';

jest.setTimeout(180_000);

let tools: HostTools;
let base: string;
let folder: string;
let disk: string;
let before: string;

const hashOf = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
const errorOf = (stderr: string) =>
  (JSON.parse(stderr) as { error: { code: string; message: string } }).error;

beforeAll(async () => {
  await ensureHostTools(DISK_TOOLS);
  tools = createHostTools();
  base = await mkdtemp(join(tmpdir(), 'watari-disks-'));
  disk = await makeFakeServer({ folder: base, tools });
  before = await hashOf(disk);
});
beforeEach(async () => {
  folder = await mkdtemp(join(base, 'case-'));
});
afterAll(async () => {
  if (base) await rm(base, { recursive: true, force: true });
});

describe('disks by the command line, with nothing running', () => {
  it('inspects a disk, for people and for programs', async () => {
    const told = await runCommandLine(['inspect', disk]);
    expect(told).toMatchObject({ exitCode: 0 });
    for (const word of ['Debian GNU/Linux 12', 'old-server', '/dev/sda3', 'no virtio drivers', 'nginx', MAC])
      expect(told.stdout).toContain(word);
    const asked = await runCommandLine(['inspect', disk, '--json']);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      format: 'raw',
      partitionTable: 'mbr',
      kernels: [{ hasVirtio: false }],
    });
    expect(asked.stderr).toBe('');
    expect(await hashOf(disk)).toBe(before);
  });

  it('converts into a qcow2 image and back, and the source stays as it was', async () => {
    const [out, manifest, back] = ['guest.qcow2', 'undo.json', 'back.raw'].map((name) => join(folder, name));
    const args = ['--target', 'kvm-virtio', '--format', 'qcow2', '--json'];
    const made = await runCommandLine(['convert', disk, '--out', out!, '--manifest', manifest!, ...args]);
    expect(made).toMatchObject({ exitCode: 0, stderr: '' });
    expect(JSON.parse(made.stdout)).toMatchObject({
      disk: { path: out, format: 'qcow2' },
      manifestPath: manifest,
      mac: MAC,
    });
    expect((await readdir(folder)).sort()).toEqual(['guest.qcow2', 'undo.json']);
    expect((await stat(out!)).mode & 0o777).toBe(0o600);
    const inspected = await runCommandLine(['inspect', out!, '--json']);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ format: 'qcow2', kernels: [{ hasVirtio: true }] });

    const reverted = await runCommandLine(['revert', out!, '--manifest', manifest!, '--out', back!]);
    expect(reverted).toMatchObject({ exitCode: 0 });
    const after = await runCommandLine(['inspect', back!, '--json']);
    expect(JSON.parse(after.stdout)).toMatchObject({
      format: 'raw',
      kernels: [{ hasVirtio: false }],
      kernelRoots: ['/dev/sda3'],
    });
    expect(await hashOf(disk)).toBe(before);
  });

  it('replaces a file only when told to, and never the source', async () => {
    const out = join(folder, 'guest.raw');
    await writeFile(out, 'mine');
    const args = ['convert', disk, '--target', 'kvm-virtio', '--json'];
    const refused = await runCommandLine([...args, '--out', out]);
    expect(refused.exitCode).toBe(3);
    expect(errorOf(refused.stderr)).toMatchObject({
      code: 'TARGET_DISK_EXISTS',
      message: expect.stringContaining('--force'),
    });
    expect(await readFile(out, 'utf8')).toBe('mine');
    const self = await runCommandLine([...args, '--out', disk, '--force']);
    expect([self.exitCode, errorOf(self.stderr).code]).toEqual([3, 'TARGET_DISK_EXISTS']);
    expect(await hashOf(disk)).toBe(before);
    expect((await runCommandLine([...args, '--out', out, '--force'])).exitCode).toBe(0);
    expect((await stat(out)).size).toBe((await stat(disk)).size);
    expect((await readdir(folder)).sort()).toEqual(['guest.raw', 'guest.raw.manifest.json']);
  });

  it('keeps what was there when a replacement fails', async () => {
    const [out, blank] = [join(folder, 'guest.raw'), join(base, 'blank.raw')];
    await writeFile(out, 'mine');
    await writeFile(blank, Buffer.alloc(1024 * 1024));
    const args = ['--target', 'kvm-virtio', '--out', out, '--force', '--json'];
    const failed = await runCommandLine(['convert', blank, ...args]);
    expect(failed.exitCode).toBe(3);
    expect(errorOf(failed.stderr).code).toMatch(/^DISK_/);
    expect(await readFile(out, 'utf8')).toBe('mine');
    expect(await readdir(folder)).toEqual(['guest.raw']);
  });

  it.each(['cloning the disk', 'adding the drivers of the target', 'writing the qcow2 image'])(
    'leaves nothing of a conversion that is interrupted while it is %s',
    async (text) => {
      const args = ['--target', 'kvm-virtio', '--format', 'qcow2', '--out', join(folder, 'guest.qcow2')];
      const { exitCode, stdout } = await interruptCommandLine(['convert', disk, ...args], text);
      expect({ exitCode, stdout }).toEqual({ exitCode: 130, stdout: '' });
      expect(await readdir(folder)).toEqual([]);
      expect(await hashOf(disk)).toBe(before);
    },
  );

  it('leaves the work of another run alone', async () => {
    const out = join(folder, 'guest.raw');
    await copyFile(disk, `${out}.partial`);
    const args = ['convert', disk, '--target', 'kvm-virtio', '--out', out, '--json'];
    const refused = await runCommandLine(args);
    expect([refused.exitCode, errorOf(refused.stderr).code]).toEqual([3, 'TARGET_BUSY']);
    expect(await readdir(folder)).toEqual(['guest.raw.partial']);
  });

  it('refuses a manifest that is none, a wrong format, and addresses that are none', async () => {
    const revert = await runCommandLine(['revert', disk, '--manifest', disk, '--json']);
    expect([revert.exitCode, errorOf(revert.stderr).code]).toEqual([3, 'DISK_MANIFEST_INVALID']);
    const inspect = await runCommandLine(['inspect', disk, '--format', 'qcow2', '--json']);
    expect([inspect.exitCode, errorOf(inspect.stderr).code]).toEqual([3, 'DISK_NOT_AN_IMAGE']);
    const out = join(folder, 'guest.raw');
    const nic = await runCommandLine(['convert', disk, '--target', 'kvm-virtio', '--out', out, '--nic', 'x']);
    expect([nic.exitCode, nic.stderr]).toEqual([2, expect.stringContaining('NIC')]);
    expect((await runCommandLine(['convert', disk, '--out', out])).exitCode).toBe(2);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a key file that is not there, or that holds no key', async () => {
    const empty = join(folder, 'empty');
    await writeFile(empty, '');
    for (const path of [join(folder, 'nowhere'), empty]) {
      const { exitCode, stderr } = await runCommandLine(['inspect', disk, '--key-file', path, '--json']);
      expect([exitCode, errorOf(stderr).code]).toEqual([2, 'KEY_FILE_INVALID']);
    }
  });

  it.each(['inspect', 'convert', 'revert'])('explains %s to somebody who never used it', async (name) => {
    const { exitCode, stdout } = await runCommandLine([name, '--help']);
    expect(exitCode).toBe(0);
    for (const word of ['Example', 'watari ', 'Exit code 3', 'Format of the source'])
      expect(stdout).toContain(word);
  });
});
