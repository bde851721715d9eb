import type { CodecId, Frame, FrameContent, HistorySummary, StreamSummary } from '@watari/migration-core';
import type { MessagePort } from 'node:worker_threads';

import type { HistoryGuest, HistorySettings } from './histories';

/*
 * Words between an agent's main thread and its data plane. Each stream has a port of its own, on which they stay in
 * order; large buffers change hands instead of being copied.
 */

/** What the data plane is started with. */
export interface DataPlaneSettings {
  readonly histories: HistorySettings & { readonly folder: string; readonly keyPath: string };
}

/** What the data plane says unasked, beside the answers to calls. */
export type PlaneMessage =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn';
      readonly text: string;
      readonly fields: Record<string, unknown>;
    };

/** A history that was loaded for a move; it waits in memory for its stream, or to be dropped. */
export interface LoadedHistory {
  readonly loadedId: number;
  /** One bit for each chunk that could be read, in base64. */
  readonly chunks: string;
}

/** What a source's stream builds on: a loaded history, as far as the target could read its own. */
export interface StreamHistory {
  readonly loadedId: number;
  readonly theirChunks: string;
}

export interface OutgoingOptions {
  /** What the target can read, best first. */
  readonly codecs: readonly CodecId[];
  readonly mirrorPagesMax: number;
  readonly history: StreamHistory | null;
  /** A StreamCounters, kept up to date: see CounterBoard. */
  readonly counters: SharedArrayBuffer;
}

export interface IncomingOptions {
  readonly codecs: readonly CodecId[];
  readonly mirrorPagesMax: number;
  readonly layoutPagesMax: number;
  /** Loaded for this stream; which of it may be built on comes with the order to begin. */
  readonly loadedId: number | null;
  /** Where QEMU listens. */
  readonly socketPath: string;
}

export interface DataPlaneService {
  /** Names of the histories that the guest could begin with, best first. Reads none of them. */
  findHistories(guest: HistoryGuest): Promise<string[]>;
  /** One of those, if it can be read; up to so many pages of it. */
  loadHistory(guest: HistoryGuest, historyId: string, pagesMax: number): Promise<LoadedHistory | null>;
  /** Of one that no stream was opened with; others are passed over. */
  dropHistory(loadedId: number): Promise<void>;
  listHistories(): Promise<HistorySummary[]>;
  /** False when there was none. */
  removeHistory(guestId: string): Promise<boolean>;
  /** Says what both sides could read of the history, in base64; null when there is none. */
  openOutgoing(options: OutgoingOptions, port: MessagePort): Promise<{ readonly chunks: string | null }>;
  openIncoming(options: IncomingOptions, port: MessagePort): Promise<void>;
  /** Resolves when what was being written is. */
  close(): Promise<void>;
}

interface KeepOrder {
  readonly kind: 'keep';
  readonly guest: HistoryGuest;
  /** Of the history that is written; the SHA-256 of the stream that made it. */
  readonly historyId: string;
}

export type OutgoingOrder =
  | { readonly kind: 'listen'; readonly socketPath: string }
  /** Nothing is to be read from QEMU for now. */
  | { readonly kind: 'hold'; readonly isHeld: boolean }
  | { readonly kind: 'applied'; readonly streamBytes: number }
  | { readonly kind: 'link-rate'; readonly bytesPerSecond: number }
  | { readonly kind: 'return-path'; readonly bytes: Uint8Array }
  | { readonly kind: 'return-path-ended' }
  | { readonly kind: 'allow-switch-over' }
  | { readonly kind: 'hurry' }
  | KeepOrder
  | { readonly kind: 'close' };

interface FailureReport {
  readonly kind: 'failed';
  readonly code: string;
  readonly reason: string;
}

export type OutgoingReport =
  | { readonly kind: 'listening' }
  | { readonly kind: 'keeping' }
  | { readonly kind: 'frame'; readonly content: FrameContent }
  | { readonly kind: 'compression'; readonly reason: string }
  | { readonly kind: 'ended'; readonly summary: StreamSummary }
  | FailureReport;

export type IncomingOrder =
  /** Before the first frame: what both sides could read of the history; null to build on nothing. */
  | { readonly kind: 'begin'; readonly chunks: string | null }
  | { readonly kind: 'frame'; readonly frame: Frame }
  /** Say when all that came before is rebuilt. */
  | { readonly kind: 'settle' }
  | { readonly kind: 'end' }
  | KeepOrder
  | { readonly kind: 'close' };

export type IncomingReport =
  | {
      readonly kind: 'progress';
      /** Frames that were taken apart so far. */
      readonly frames: number;
      /** QEMU takes less than comes. */
      readonly isFull: boolean;
    }
  | { readonly kind: 'applied'; readonly sequence: number; readonly streamBytes: number }
  | { readonly kind: 'return-path'; readonly bytes: Uint8Array }
  | { readonly kind: 'return-path-ended' }
  | { readonly kind: 'keeping' }
  | { readonly kind: 'settled'; readonly summary: StreamSummary | null }
  | FailureReport;
