import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { DiskUnusable } from '../errors';
import { MACHINE_TARGET_NAMES } from './machine-targets';

const path = z.string().startsWith('/').max(4096);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const uint32 = z.int().min(0).max(0xffffffff);
const time = z.object({ seconds: uint32, extra: uint32.optional() });
const attributes = z.object({
  mode: uint32,
  uid: uint32,
  gid: uint32,
  links: uint32,
  flags: uint32,
  times: z.object({ mtime: time, atime: time }),
  xattrs: z
    .array(
      z.object({
        name: z.string().regex(/^[a-z]+\.[A-Za-z0-9_.-]{1,200}$/),
        valueBase64: z.base64().max(100_000),
      }),
    )
    .max(32),
});

const Change = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('replaced'),
    path,
    attributes,
    beforeBase64: z.base64().max(2 * 1024 * 1024),
    afterSha256: sha256,
    /** For a file that was changed since: the lines that were replaced, and by what. */
    lines: z
      .array(
        z.object({
          before: z.string().nullable(),
          after: z.string().nullable(),
          follows: z.string().nullable(),
        }),
      )
      .max(100_000),
  }),
  z.object({ kind: z.literal('created'), path, afterSha256: sha256 }),
  z.object({ kind: z.literal('directory-made'), path }),
  z.object({
    kind: z.literal('appended'),
    path,
    attributes,
    originalBytes: z.int().nonnegative(),
    originalSha256: sha256,
    afterSha256: sha256,
  }),
]);
export type Change = z.infer<typeof Change>;

/** More would be of no use to a person. */
export const LEFT_UNDONE_MAX = 1000;

/** Everything that a conversion changed inside of a guest, and what was there before. */
export const ConversionManifest = z.object({
  kind: z.literal('watari-conversion'),
  version: z.literal(1),
  target: z.enum(MACHINE_TARGET_NAMES),
  convertedAt: z.iso.datetime(),
  rootFileSystemUuid: z.string().max(100),
  steps: z.array(z.object({ name: z.string().max(100), summary: z.string().max(2000) })).max(100),
  /** What a person has still to see to, by the step that left it. Manifests from before it was kept have none. */
  leftUndone: z
    .array(
      z.object({ step: z.string().max(100), subject: z.string().max(4096), reason: z.string().max(4096) }),
    )
    .max(LEFT_UNDONE_MAX)
    .default([]),
  nics: z.array(z.object({ oldMac: z.string().max(17), newMac: z.string().max(17) })).max(64),
  /** In the order in which they were made. */
  changes: z.array(Change).max(10_000),
});
export type ConversionManifest = z.infer<typeof ConversionManifest>;

const MANIFEST_BYTES_MAX = 256 * 1024 * 1024;

/** Reads a manifest. Rejects with DISK_MANIFEST_INVALID. */
export async function readManifest(manifestPath: string): Promise<ConversionManifest> {
  try {
    const { size } = await stat(manifestPath);
    if (size > MANIFEST_BYTES_MAX) throw new Error(`it has ${size} bytes`);
    return ConversionManifest.parse(JSON.parse(await readFile(manifestPath, 'utf8')));
  } catch (error) {
    throw new DiskUnusable(
      'DISK_MANIFEST_INVALID',
      `${manifestPath} is no manifest of a conversion: ${(error as Error).message.slice(0, 500)}. Give the file that the conversion wrote.`,
      { cause: error },
    );
  }
}

export function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
