import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

const ROOT = join(__dirname, '../../..');

/** The parts of the code that what is deployed has to agree with. Paths are relative to the repository. */
export const repository = {
  path: (...parts: string[]): string => join(ROOT, ...parts),
  exists: (...parts: string[]): boolean => existsSync(join(ROOT, ...parts)),
  read: (...parts: string[]): string => readFileSync(join(ROOT, ...parts), 'utf8'),
  list: (...parts: string[]): string[] => readdirSync(join(ROOT, ...parts)).sort(),

  /** Names of the apps whose package has the Nx tag, such as `type:service`. */
  apps(tag: string): string[] {
    return this.list('apps').filter((name) => {
      const { nx } = JSON.parse(this.read('apps', name, 'package.json')) as { nx?: { tags?: string[] } };
      return nx?.tags?.includes(tag) ?? false;
    });
  },

  /** Every TypeScript source below a folder but its specs, by path. */
  sources(...parts: string[]): Map<string, string> {
    const folder = parts.join('/');
    return new Map(
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'))
        .map((path) => [`${folder}/${path}`, this.read(folder, path)]),
    );
  },
};

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

/** All documents of a YAML file. Throws with file, line and reason on anything that is no clean YAML. */
export function readYaml(path: string): unknown[] {
  const documents = parseAllDocuments(repository.read(path), { merge: true, uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw new Error(`${path}: ${problem.message}`);
    return document.toJS() as unknown;
  });
}

export function readManifests(folder: string): (Manifest & { file: string })[] {
  return repository
    .list(folder)
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .flatMap((name) =>
      readYaml(`${folder}/${name}`).map((document) => ({ ...(document as Manifest), file: name })),
    );
}
