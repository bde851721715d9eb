import type { TargetProblemCode } from './targets';

export type DiskErrorCode =
  | TargetProblemCode
  | 'DISK_NOT_FOUND'
  | 'DISK_NOT_READABLE'
  | 'DISK_NOT_AN_IMAGE'
  | 'DISK_TRUNCATED'
  | 'DISK_DAMAGED'
  | 'DISK_ENCRYPTED'
  | 'DISK_CHANGED'
  | 'DISK_TOO_LARGE'
  | 'DISK_HAS_BACKING_FILE'
  | 'DISK_FORMAT_UNSUPPORTED'
  | 'DISK_PARTITION_TABLE_DAMAGED'
  | 'DISK_FILE_SYSTEM_UNSUPPORTED'
  | 'DISK_FILE_SYSTEM_FULL'
  | 'DISK_FILE_UNSUPPORTED'
  | 'DISK_NO_OPERATING_SYSTEM'
  | 'DISK_KERNEL_UNSUPPORTED'
  | 'DISK_INITRAMFS_UNSUPPORTED'
  | 'DISK_NETWORK_UNSUPPORTED'
  | 'DISK_MANIFEST_INVALID'
  | 'DISK_REVERT_REFUSED'
  | 'TARGET_DISK_FULL'
  | 'TARGET_DISK_EXISTS'
  | 'TARGET_NOT_WRITABLE'
  | 'TARGET_NAME_UNSUPPORTED'
  | 'TARGET_BUSY';

/**
 * Why a disk cannot be inspected, converted or reverted; the message says what to do. The source is as it
 * was, and what had been made of the target is gone. `canRetry`: the same call may succeed later.
 */
export class DiskUnusable extends Error {
  readonly canRetry: boolean;

  constructor(
    readonly code: DiskErrorCode,
    message: string,
    options: ErrorOptions & { canRetry?: boolean } = {},
  ) {
    super(message, options);
    this.name = 'DiskUnusable';
    this.canRetry = options.canRetry ?? false;
  }
}
