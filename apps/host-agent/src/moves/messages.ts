import { ForwardSchema, GuestSpecSchema, IdSchema } from '@watari/host-agent-client';
import { z } from 'zod';

import { GuestRecordSchema } from '../guests/guest-record';

/**
 * Raised when either side would misread the other; both must speak the same. So that they can find out, these stay as
 * they are in every version: "ping", "pong", "refused", and that "announce" is a `kind` beside a `protocolVersion`.
 */
export const MOVE_PROTOCOL_VERSION = 4;

/** A control frame is held whole before it is read. */
const TEXT_MAX = 4_000;
export const CONSOLE_BYTES_MAX = 64 * 1024;

const Text = z.string().max(TEXT_MAX);
/** Milliseconds since 1970 by the sender's clock, with a fraction. */
const ClockMs = z.number().nonnegative().max(1e15);

/** Names what both sides held at the end of an earlier move: of the same history both hold the same pages. */
const HistoryIdSchema = z.string().regex(/^[0-9a-f]{64}$/);
/** Histories that a source names at most. */
export const HISTORIES_MAX = 16;
/** One bit for each 2 MiB of a history that could be read; for 4 TiB they are 256 KiB. */
const ChunksSchema = z.base64().max(400_000);

/** What one side can do with pages; what both can is done. */
export const PageCopySchema = z.strictObject({
  /** Numbers of the codecs, best first; unknown ones are a newer agent's. */
  codecs: z.array(z.int().min(0).max(255)).max(16),
  /** Pages that this side keeps, so that a page that comes again costs what changed in it. */
  mirrorPagesMax: z
    .int()
    .min(0)
    .max(2 ** 30),
});
export type PageCopy = z.infer<typeof PageCopySchema>;

/** What a source says; JSON in control frames. */
export const SourceMessageSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ping'), id: z.int().nonnegative() }),
  z.strictObject({
    kind: z.literal('announce'),
    protocolVersion: z.int(),
    moveId: IdSchema,
    spec: GuestSpecSchema,
    shape: GuestRecordSchema.shape.shape,
    qemuVersion: z.string().max(64),
    /** Where the source answers what became of the move. */
    sourceApiUrl: z.url({ protocol: /^https$/ }).max(2_048),
    pageCopy: PageCopySchema,
    /** What the source could begin with, best first. */
    histories: z.array(HistoryIdSchema).max(HISTORIES_MAX),
  }),
  /** The stream follows. What both sides could read of the history that was agreed on; null: it builds on nothing. */
  z.strictObject({ kind: z.literal('begin'), chunks: ChunksSchema.nullable() }),
  /** The source's QEMU closed its end: nothing comes any more but the last hash, which was sent before. */
  z.strictObject({ kind: z.literal('stream-ended') }),
  /** From here on the target alone may run the guest. Console: base64 of what the guest wrote so far. */
  z.strictObject({ kind: z.literal('commit'), console: z.base64().max(2 * CONSOLE_BYTES_MAX) }),
  z.strictObject({ kind: z.literal('cancel'), code: z.string().max(128), reason: Text }),
]);
export type SourceMessage = z.infer<typeof SourceMessageSchema>;

/** What a target says. */
export const TargetMessageSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('pong'),
    id: z.int().nonnegative(),
    clockMs: ClockMs,
    bootId: z.string().max(64),
  }),
  /** What is agreed on: no more than the source offered. Said at once, so that both sides load the history together. */
  z.strictObject({
    kind: z.literal('agreed'),
    pageCopy: PageCopySchema,
    historyId: HistoryIdSchema.nullable(),
  }),
  /** QEMU waits for the stream. */
  z.strictObject({
    kind: z.literal('ready'),
    qemuVersion: z.string().max(64),
    /** What the target could read of the history; null for nothing. */
    chunks: ChunksSchema.nullable(),
  }),
  /** The target's QEMU closed the way back: it has loaded everything, or given up. */
  z.strictObject({ kind: z.literal('return-path-ended') }),
  /** Loaded, hashes equal, paused. */
  z.strictObject({ kind: z.literal('received'), streamSha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  z.strictObject({
    kind: z.literal('running'),
    resumedAt: z.string().max(40),
    resumedAtMs: ClockMs,
    forwards: z.array(ForwardSchema).max(256),
  }),
  /** The guest did not and will not run here by this move. */
  z.strictObject({ kind: z.literal('refused'), code: z.string().max(128), reason: Text }),
]);
export type TargetMessage = z.infer<typeof TargetMessageSchema>;

export function shorten(reason: string): string {
  return reason.length <= TEXT_MAX ? reason : `${reason.slice(0, TEXT_MAX - 1)}…`;
}
