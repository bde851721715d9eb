import { DiskUnusable } from '../errors';
import { ApplianceError } from './errors';
import { Refusal } from './machine/peer';

/** What the agent refused, as an error about the disk; `subject` begins the sentence. */
export function diskError(error: unknown, subject: string): unknown {
  if (!(error instanceof Refusal)) return error;
  const told = `${subject}: ${error.message.replace(/\.$/, '')}.`;
  switch (error.code) {
    case 'FULL':
      return new DiskUnusable(
        'DISK_FILE_SYSTEM_FULL',
        `${told} Remove old kernels or other files on the server, then copy the disk again.`,
        { cause: error },
      );
    case 'DAMAGED':
      return new DiskUnusable(
        'DISK_DAMAGED',
        `${told} Check the file system on the server, then copy the disk again.`,
        { cause: error },
      );
    case 'READ_ONLY':
      return new DiskUnusable('DISK_NOT_READABLE', `${told} It is open for reading alone.`, { cause: error });
    case 'WRONG_KEY':
      return new DiskUnusable(
        'DISK_ENCRYPTED',
        `${told} Give the passphrase that unlocks it on the server.`,
        {
          cause: error,
        },
      );
    case 'UNSUPPORTED':
      return new DiskUnusable('DISK_FILE_SYSTEM_UNSUPPORTED', told, { cause: error });
    case 'NOT_FOUND':
    case 'EXISTS':
    case 'NOT_EMPTY':
    case 'NOT_A_FILE':
    case 'HAS_LINKS':
    case 'TOO_LARGE':
      return new DiskUnusable(
        'DISK_FILE_UNSUPPORTED',
        `${told} Put it right on the server, then copy the disk again.`,
        { cause: error },
      );
    case 'NO_MEMORY':
      return new ApplianceError('APPLIANCE_OVER_BUDGET', `${told} Give the appliance more memory.`, {
        cause: error,
        canRetry: true,
      });
    case 'TIMED_OUT':
      return new ApplianceError('APPLIANCE_TIMED_OUT', `${told} Try again when the machine has less to do.`, {
        cause: error,
        canRetry: true,
      });
    default:
      return new DiskUnusable('DISK_DAMAGED', `${told} Check the disk on the server, then copy it again.`, {
        cause: error,
      });
  }
}
