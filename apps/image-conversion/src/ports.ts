import type { Disk } from './domain/conversion';

export interface ConvertedGuest {
  readonly disk: Disk;
  readonly manifestPath: string;
  readonly steps: readonly { readonly name: string; readonly summary: string }[];
  readonly mac: string;
}

export interface WorkProgress {
  readonly signal: AbortSignal;
  progress(text: string, fraction?: number): void;
}

/**
 * Copies and converts disks. Every method may be called again after the process died half-way: what is not
 * finished is not there. Errors carry a `code`; `canRetry` is true where a second try may succeed.
 */
export interface DiskWorkshop {
  /** Makes the replica: the same content as the source, which is only read. */
  copy(migrationId: string, source: Disk, run: WorkProgress): Promise<{ replica: Disk; copiedBytes: number }>;
  /** Clones the replica and converts the clone. */
  convert(
    migrationId: string,
    replica: Disk,
    mac: string | undefined,
    run: WorkProgress,
  ): Promise<ConvertedGuest>;
  discard(migrationId: string, what: 'copy' | 'clone'): Promise<void>;
}
