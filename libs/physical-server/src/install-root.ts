import { randomBytes } from 'node:crypto';
import { chmod, copyFile, link, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HostToolFailed, type RunOptions, runProgram } from '@watari/host-tools';
import type { Chamber } from './chamber';
import { PhysicalServerError } from './errors';
import type { Packages } from './package-archive';
import { type ProgressReporter, dpkgListener } from './progress';
import { SCRIPT_NAMES, type ScriptName, readAsset } from './recipe';
import { type ServerFile, earlyServerFiles, serverFiles } from './server-files';

const LEDGER_PATH = '/usr/local/lib/ledger/ledger.py';
const TIMEOUT_MS = 20 * 60_000;

/** What the making of one server works with. */
export interface Site {
  readonly chamber: Chamber;
  /** An empty folder of ours, which becomes the server's root. */
  readonly root: string;
  /** A folder of ours that scripts inside the root see too, without it being part of the server. */
  readonly workshop: string;
  readonly progress: ProgressReporter;
}

/** Installs the server into the folder `root`: packages by their own scripts, settings, initramfs, GRUB's images. */
export async function installRoot(site: Site, packages: Packages): Promise<void> {
  const { chamber, root, workshop, progress } = site;
  const { base, more, aside, codename, aptSources } = packages;

  progress.at('unpack', `unpacking ${base.length} packages of the bare system`);
  for (const name of SCRIPT_NAMES)
    await writeFile(join(workshop, name), await readAsset(name), { mode: 0o755 });
  await inChamber(chamber, [join(workshop, 'unpack.sh'), root, ...base]);
  if (!chamber.canGiveFilesAway) {
    for (const archive of aside)
      await runProgram('/usr/bin/dpkg-deb', ['--extract', archive, join(workshop, 'fakeroot')]);
  }

  await writeServerFiles(root, earlyServerFiles());
  await placeArchives(join(workshop, 'base'), base);
  await placeArchives(join(workshop, 'more'), more);
  await inRoot(site, 'install-packages.sh', {
    onStderrLine: dpkgListener(base.length + more.length, (step, share) =>
      progress.at('install', step, share),
    ),
  });

  progress.at('boot', 'writing settings, initramfs and boot loader');
  const machineId = randomBytes(16).toString('hex');
  const kernelRelease = await kernelReleaseIn(root);
  await writeServerFiles(root, serverFiles({ codename, aptSources, machineId, kernelRelease }));
  await writeServerFiles(root, [{ path: LEDGER_PATH, text: await readAsset('ledger.py'), mode: 0o755 }]);
  await inRoot(site, 'prepare-boot.sh');
}

/** Runs a script of the workshop as root of the new system, which is mounted around it. */
export async function inRoot(
  { chamber, root, workshop }: Site,
  script: ScriptName,
  options: RunOptions = {},
): Promise<void> {
  await inChamber(chamber, [join(workshop, 'enter.sh'), root, workshop, script], options);
}

async function inChamber(
  chamber: Chamber,
  script: readonly string[],
  options: RunOptions = {},
): Promise<void> {
  try {
    await chamber.run('/bin/sh', script, { timeoutMs: TIMEOUT_MS, ...options });
  } catch (error) {
    if (!(error instanceof HostToolFailed)) throw error;
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_INSTALL_FAILED',
      `Debian could not be installed into the disk: ${error.message}\nTry again; if it stays so, the distribution's packages changed in a way the recipe does not know yet.`,
      { cause: error, canRetry: true },
    );
  }
}

async function writeServerFiles(root: string, files: readonly ServerFile[]): Promise<void> {
  for (const { path, text, mode } of files) {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    // What a package put there may be read-only.
    await rm(target, { force: true });
    await writeFile(target, text);
    // The mode that counts is the one asked for, whatever our umask.
    await chmod(target, mode);
  }
}

async function placeArchives(folder: string, archives: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const archive of archives) {
    const target = join(folder, basename(archive));
    await link(archive, target).catch(() => copyFile(archive, target));
  }
}

async function kernelReleaseIn(root: string): Promise<string> {
  const releases = await readdir(join(root, 'usr/lib/modules'));
  const [release] = releases;
  if (releases.length !== 1 || !release) {
    throw new PhysicalServerError(
      'PHYSICAL_SERVER_INSTALL_FAILED',
      `One kernel was to be installed, and there are ${releases.length}. The recipe does not fit this release of Debian.`,
    );
  }
  return release;
}
