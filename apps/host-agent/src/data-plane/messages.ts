import type { CodecId, Frame, FrameContent, HistorySummary, StreamSummary } from '@watari/migration-core';
import type { MessagePort } from 'node:worker_threads';

import type { HistoryOffer } from '../moves/messages';
import type { HistorySettings } from './histories';

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
  readonly offer: HistoryOffer;
}

/** What a stream may build on: a loaded history, with what the other side says of its own. */
export interface StreamHistory {
  readonly loadedId: number;
  readonly theirs: HistoryOffer | null;
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
  readonly history: StreamHistory | null;
  /** Where QEMU listens. */
  readonly socketPath: string;
}

export interface DataPlaneService {
  /** The guest's history, if there is one that can be used with so many pages. */
  loadHistory(guestId: string, pagesMax: number): Promise<LoadedHistory | null>;
  /** Of one that no stream was opened with; others are passed over. */
  dropHistory(loadedId: number): Promise<void>;
  listHistories(): Promise<HistorySummary[]>;
  /** False when there was none. */
  removeHistory(guestId: string): Promise<boolean>;
  openOutgoing(options: OutgoingOptions, port: MessagePort): Promise<void>;
  openIncoming(options: IncomingOptions, port: MessagePort): Promise<{ readonly isHistoryShared: boolean }>;
  /** Resolves when what was being written is. */
  close(): Promise<void>;
}

interface KeepOrder {
  readonly kind: 'keep';
  readonly guestId: string;
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
