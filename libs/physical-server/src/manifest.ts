import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Packages } from './package-archive';

const ManifestSchema = z.object({
  version: z.literal(1),
  codename: z.string(),
  sizeBytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  builtAt: z.string(),
  packages: z.array(z.string()),
});
export type Manifest = z.infer<typeof ManifestSchema>;

const DISK = 'disk.raw';
const MANIFEST = 'manifest.json';

/** What the folder's disk is; undefined when there is none, or when it is not the one that was built. */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch(absent);
  const disk = await stat(join(folder, DISK)).catch(absent);
  if (text === undefined || !disk) return undefined;
  const parsed = ManifestSchema.safeParse(jsonOf(text));
  if (!parsed.success || parsed.data.sizeBytes !== disk.size) return undefined;
  // Written to since it was built: the disk is sealed read-only before its manifest is written.
  return disk.mtimeMs <= Date.parse(parsed.data.builtAt) ? parsed.data : undefined;
}

export async function writeManifest(
  folder: string,
  { packages, signal }: { packages: Packages; signal?: AbortSignal },
): Promise<void> {
  const path = join(folder, DISK);
  const hash = createHash('sha256');
  await pipeline(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
    hash,
    ...(signal ? [{ signal }] : []),
  );
  const manifest: Manifest = {
    version: 1,
    codename: packages.codename,
    sizeBytes: (await stat(path)).size,
    sha256: hash.digest('hex'),
    builtAt: new Date().toISOString(),
    packages: [...packages.base, ...packages.more].map((archive) => basename(archive)).sort(),
  };
  await writeFile(join(folder, MANIFEST), JSON.stringify(manifest, null, 2));
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
