import { z } from 'zod';

import { AgentError } from '../errors';
import { MOVE_PROTOCOL_VERSION } from './messages';

/** All that can be said of an announcement whose version is not known yet. */
const AnnouncedVersionSchema = z.object({ kind: z.literal('announce'), protocolVersion: z.int() });

/**
 * Looks at a message before it is read: one of another version need not have the form that this version knows. Throws
 * MOVE_PROTOCOL_UNKNOWN for the announcement of a source that speaks another version; all else is passed over.
 */
export function refuseOtherVersion(message: unknown): void {
  const announced = AnnouncedVersionSchema.safeParse(message);
  if (!announced.success || announced.data.protocolVersion === MOVE_PROTOCOL_VERSION) return;
  const { protocolVersion } = announced.data;
  const [older, newer] =
    protocolVersion < MOVE_PROTOCOL_VERSION ? ['source', 'target'] : ['target', 'source'];
  throw new AgentError(
    'MOVE_PROTOCOL_UNKNOWN',
    `The source speaks version ${protocolVersion} of the move protocol, the target version ${MOVE_PROTOCOL_VERSION}. ` +
      `Update Watari on the ${older} to the version of the ${newer}; the guest runs on meanwhile.`,
  );
}
