import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { AgentError } from '../errors';

/** A unix socket's path may have 107 bytes. */
const SOCKET_PATH_BYTES_MAX = 107;
const SOCKET_NAME = 'run/0123456789ab.qmp';

/**
 * Where an agent keeps what it knows:
 *
 *   guests/<guestId>/{guest.json, qemu.pid, qemu.log, console.log, events.ndjson, overlay-*.qcow2}
 *   moves/<moveId>.{json,trace}
 *   run/<hash of guestId>.{qmp,in,out}      unix sockets; short, because their paths must be
 */
export class StateFolders {
  private constructor(readonly root: string) {}

  /** Throws STATE_FOLDER_TOO_DEEP. */
  static async open(root: string): Promise<StateFolders> {
    const bytesMax = SOCKET_PATH_BYTES_MAX - SOCKET_NAME.length - 1;
    if (Buffer.byteLength(root) > bytesMax)
      throw new AgentError(
        'STATE_FOLDER_TOO_DEEP',
        `The state folder ${root} has a path of ${Buffer.byteLength(root)} bytes; sockets in it allow ${bytesMax}. Choose a shorter one.`,
      );
    for (const name of ['guests', 'moves', 'run'])
      await mkdir(join(root, name), { recursive: true, mode: 0o700 });
    return new StateFolders(root);
  }

  get guests(): string {
    return join(this.root, 'guests');
  }

  get moves(): string {
    return join(this.root, 'moves');
  }

  guest(guestId: string): string {
    return join(this.guests, guestId);
  }

  move(moveId: string): string {
    return join(this.moves, `${moveId}.json`);
  }

  trace(moveId: string): string {
    return join(this.moves, `${moveId}.trace`);
  }

  socket(guestId: string, kind: 'qmp' | 'in' | 'out'): string {
    const hash = createHash('sha256').update(guestId).digest('hex').slice(0, 12);
    return join(this.root, 'run', `${hash}.${kind}`);
  }
}
