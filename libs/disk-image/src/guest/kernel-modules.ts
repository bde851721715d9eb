import type { GuestReader } from './guest-files';

/** What a kernel can load, by the lists that depmod writes. */
export interface KernelModules {
  /** Module name (with underscores) to its path below /lib/modules/VERSION. */
  readonly paths: ReadonlyMap<string, string>;
  /** Path to the paths that it needs, all of them, what is needed first at the end. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly builtin: ReadonlySet<string>;
}

const MODULES_DEP_BYTES_MAX = 16 * 1024 * 1024;
const MODULES_MAX = 50_000;

export async function readKernelModules(
  tree: GuestReader,
  version: string,
): Promise<KernelModules | undefined> {
  const folder = `/lib/modules/${version}`;
  const dep = await tree.readText(`${folder}/modules.dep`, MODULES_DEP_BYTES_MAX);
  const builtin = await tree.readText(`${folder}/modules.builtin`, MODULES_DEP_BYTES_MAX);
  return dep === undefined ? undefined : parseKernelModules(dep, builtin ?? '');
}

export function parseKernelModules(dep: string, builtin: string): KernelModules {
  const paths = new Map<string, string>();
  const dependencies = new Map<string, readonly string[]>();
  for (const line of dep.split('\n').slice(0, MODULES_MAX)) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const path = line.slice(0, colon);
    if (!isModulePath(path)) continue;
    paths.set(moduleName(path), path);
    dependencies.set(
      path,
      line
        .slice(colon + 1)
        .split(' ')
        .filter(isModulePath),
    );
  }
  const names = builtin
    .split('\n')
    .slice(0, MODULES_MAX)
    .filter((line) => line !== '');
  return { paths, dependencies, builtin: new Set(names.map(moduleName)) };
}

/** Paths of a module and all that it needs, what is needed first coming first; undefined where it is not there. */
export function closureOf(modules: KernelModules, name: string): string[] | undefined {
  const path = modules.paths.get(name);
  if (path === undefined) return undefined;
  return [...(modules.dependencies.get(path) ?? []).toReversed(), path];
}

/** `kernel/drivers/block/virtio_blk.ko.xz` is virtio_blk. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.ko(\.(gz|xz|zst))?$/, '').replaceAll('-', '_');
}

/** A relative path without steps upwards. */
function isModulePath(path: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_+,@./-]*\.ko(\.(gz|xz|zst))?$/.test(path) && !path.split('/').includes('..');
}
