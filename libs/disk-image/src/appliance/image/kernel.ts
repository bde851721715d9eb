import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostTools } from '@watari/host-tools';
import type { CpioEntry } from '../../initramfs/cpio';
import { readModuleInfo } from './elf';

export interface ApplianceKernel {
  readonly version: string;
  readonly imagePath: string;
  readonly modules: readonly CpioEntry[];
}

interface Module {
  /** Below the kernel's module folder, without a compression suffix. */
  readonly path: string;
  readonly content: Buffer;
  readonly needs: readonly string[];
  readonly asksFor: readonly string[];
  readonly aliases: readonly string[];
}

const MODULE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The kernel of an unpacked root with those modules that are named, and what they need. Packages come without the
 * lists that modprobe reads, so they are written here, from what the modules say of themselves. A name that the
 * kernel has built in, or not at all, is passed over unless it is one of `required`.
 */
export async function readKernel(
  root: string,
  wanted: { readonly required: readonly string[]; readonly optional: readonly string[] },
  tools: HostTools,
): Promise<ApplianceKernel> {
  const images = (await readdir(join(root, 'boot'))).filter((name) => name.startsWith('vmlinuz-'));
  const [image] = images;
  if (images.length !== 1 || !image)
    throw new Error(`One kernel was to be unpacked, and there are ${images.length}.`);
  const version = image.slice('vmlinuz-'.length);
  const folder = await moduleFolder(root, version);
  const builtin = moduleNames(await readFile(join(folder, 'modules.builtin'), 'utf8'));
  const places = new Map<string, string>();
  for (const path of await readdir(join(folder, 'kernel'), { recursive: true }))
    if (/\.ko(\.xz|\.zst)?$/.test(path)) places.set(nameOf(path), join('kernel', path));

  const found = new Map<string, Module>();
  const take = async (name: string, isRequired: boolean): Promise<void> => {
    if (found.has(name) || builtin.has(name)) return;
    const place = places.get(name);
    if (place === undefined) {
      if (isRequired) throw new Error(`The appliance's kernel ${version} has no module ${name}.`);
      return;
    }
    const module = describe(place, await readModule(join(folder, place), tools));
    found.set(name, module);
    for (const need of module.needs) await take(need, true);
    for (const wish of module.asksFor) await take(wish, false);
  };
  for (const name of wanted.required) await take(normal(name), true);
  for (const name of wanted.optional) await take(normal(name), false);
  return { version, imagePath: join(root, 'boot', image), modules: entriesOf(version, found) };
}

function entriesOf(version: string, found: ReadonlyMap<string, Module>): CpioEntry[] {
  const base = `usr/lib/modules/${version}`;
  const lists: Record<string, string[]> = { 'modules.dep': [], 'modules.alias': [], 'modules.softdep': [] };
  const entries: CpioEntry[] = [];
  for (const [name, { path, content, aliases, asksFor }] of found) {
    entries.push({ path: `${base}/${path}`, mode: 0o100644, content });
    const needs = [...closure(name, found)].map((need) => found.get(need)?.path ?? '');
    lists['modules.dep']?.push(`${path}:${needs.map((need) => ` ${need}`).join('')}`);
    for (const alias of aliases) lists['modules.alias']?.push(`alias ${alias} ${name}`);
    if (asksFor.length > 0) lists['modules.softdep']?.push(`softdep ${name} pre: ${asksFor.join(' ')}`);
  }
  for (const [name, lines] of Object.entries(lists))
    entries.push({ path: `${base}/${name}`, mode: 0o100644, content: Buffer.from(`${lines.join('\n')}\n`) });
  return entries;
}

/** All that a module needs; what is needed most deeply comes last, as modprobe expects. */
function closure(name: string, found: ReadonlyMap<string, Module>): Set<string> {
  const all = new Set<string>();
  const visit = (one: string): void => {
    for (const need of found.get(one)?.needs ?? [])
      if (found.has(need)) {
        // Moved behind whoever needs it.
        all.delete(need);
        all.add(need);
        visit(need);
      }
  };
  visit(name);
  return all;
}

function describe(place: string, content: Buffer): Module {
  const info = readModuleInfo(content);
  const values = (wanted: string): string[] =>
    info.filter(({ name }) => name === wanted).map(({ value }) => value);
  return {
    path: place.replace(/\.(xz|zst)$/, ''),
    content,
    needs: values('depends')
      .flatMap((names) => names.split(','))
      .filter(Boolean)
      .map(normal),
    asksFor: values('softdep').flatMap((text) =>
      text
        .split(/\s+/)
        .filter((word) => word && !word.endsWith(':'))
        .map(normal),
    ),
    aliases: values('alias').filter((alias) => !/\s/.test(alias)),
  };
}

async function readModule(path: string, tools: HostTools): Promise<Buffer> {
  if (path.endsWith('.ko')) return readFile(path);
  const tool = path.endsWith('.xz') ? 'xz' : 'zstd';
  const { stdout } = await tools.run(tool, ['-d', '-c', path], { stdoutBytesMax: MODULE_BYTES_MAX });
  return stdout;
}

async function moduleFolder(root: string, version: string): Promise<string> {
  for (const folder of ['usr/lib/modules', 'lib/modules']) {
    const names = await readdir(join(root, folder)).catch((): string[] => []);
    if (names.includes(version)) return join(root, folder, version);
  }
  throw new Error(`The appliance's kernel ${version} came without modules.`);
}

function moduleNames(list: string): Set<string> {
  return new Set(list.split('\n').filter(Boolean).map(nameOf));
}

function nameOf(path: string): string {
  return normal(path.slice(path.lastIndexOf('/') + 1).replace(/\.ko(\.xz|\.zst)?$/, ''));
}

/** Files have a dash where modules have an underscore, or not. */
function normal(name: string): string {
  return name.replaceAll('-', '_');
}
