import { join } from 'node:path';
import { z } from 'zod';
import { type HistoryDescription, historyDescription } from './description';
import { HistoryError } from './errors';
import { type OpenFile, readSmallFile } from './files';
import { ChunkIndex } from './chunk-index';
import { ChunkLayout } from './layout';
import {
  HistorySeal,
  TAG_BYTES,
  WRAP_NONCE_HEX_DIGITS,
  WRAPPED_KEY_HEX_DIGITS,
  type WrappedKey,
} from './sealing';

/*
 * A history is a folder of three files whose names are fixed:
 *
 *   pages           sealed chunks, end to end, in the order in which they came
 *   index           the chunk index, sealed
 *   manifest.json   { version, body, key }: body is JSON text, key the data key wrapped with that text as associated data
 *
 * The manifest is written last; a folder without one is no history.
 */
export const FILE = { pages: 'pages', index: 'index', manifest: 'manifest.json' } as const;

const VERSION = 1;
export const MANIFEST_BYTES_MAX = 2 * 1024 * 1024;

const hex = (digits: number) =>
  z
    .string()
    .length(digits)
    .regex(/^[0-9a-f]*$/);
const envelope = z.strictObject({
  version: z.literal(VERSION),
  body: z.string().max(MANIFEST_BYTES_MAX),
  key: z.strictObject({ nonce: hex(WRAP_NONCE_HEX_DIGITS), sealed: hex(WRAPPED_KEY_HEX_DIGITS) }),
});
const manifestBody = z.strictObject({
  description: historyDescription,
  pagesBytes: z.int().nonnegative(),
  heldPages: z.int().nonnegative(),
  zeroPages: z.int().nonnegative(),
});

export interface HistoryContent {
  /** Length of the file of pages. */
  readonly pagesBytes: number;
  readonly heldPages: number;
  readonly zeroPages: number;
}

export interface Manifest extends HistoryContent {
  readonly description: HistoryDescription;
}

/** Text of the manifest file. Throws HISTORY_DESCRIPTION_INVALID when readers would find it too long. */
export function writeManifest(manifest: Manifest, seal: HistorySeal, agentKey: Uint8Array): Buffer {
  const { description, pagesBytes, heldPages, zeroPages } = manifest;
  const body = JSON.stringify({ description, pagesBytes, heldPages, zeroPages });
  const key: WrappedKey = seal.wrap(agentKey, body);
  const text = Buffer.from(`${JSON.stringify({ version: VERSION, body, key })}\n`);
  if (text.length > MANIFEST_BYTES_MAX)
    throw new HistoryError(
      'HISTORY_DESCRIPTION_INVALID',
      `The description of the guest's memory takes ${text.length} bytes; ${MANIFEST_BYTES_MAX} is the most.`,
    );
  return text;
}

/**
 * The manifest in the folder and the seal it gives. Throws an Error that says why there is none: not readable, not as
 * agreed, of another agent's key, or changed since it was written.
 */
export async function readManifest(
  folder: string,
  agentKey: Uint8Array,
  openFile: OpenFile,
): Promise<{ readonly manifest: Manifest; readonly seal: HistorySeal }> {
  const text = await readSmallFile(join(folder, FILE.manifest), MANIFEST_BYTES_MAX, openFile);
  const { body, key } = parsed(envelope, text.toString());
  const manifest = parsed(manifestBody, body);
  const seal = HistorySeal.unwrap(agentKey, key, body, manifest.description);
  if (!seal) throw new Error('the manifest was changed, or belongs to another key');
  return { manifest, seal };
}

/** The index in the folder. Throws an Error that says why there is none. */
export async function readIndex(
  folder: string,
  layout: ChunkLayout,
  seal: HistorySeal,
  openFile: OpenFile,
): Promise<ChunkIndex> {
  const plainBytes = layout.chunkCount * ChunkIndex.ENTRY_BYTES;
  const sealed = await readSmallFile(join(folder, FILE.index), plainBytes + TAG_BYTES, openFile);
  const plain = seal.open('index', 0, sealed);
  if (plain?.length !== plainBytes) throw new Error('the index is damaged');
  return ChunkIndex.of(plain);
}

function parsed<Schema extends z.ZodType>(schema: Schema, text: string): z.infer<Schema> {
  const result = schema.safeParse(JSON.parse(text));
  if (!result.success) throw new Error(`the manifest is not as agreed: ${z.prettifyError(result.error)}`);
  return result.data;
}
