import { createWriteStream, type ReadStream } from 'node:fs';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { type PlannerLimits, TraceRecorder } from '@watari/migration-core';
import type { Logger } from 'pino';

import { AgentError, describeError } from '../errors';
import type { StateFolders } from '../state/folders';

/** What the planner saw and decided in the latest moves; about 1 KiB a second each. */
const TRACES_KEPT = 100;

/** Records what the planner sees and decides in each move from here, to be replayed. */
export class Traces {
  constructor(
    private readonly folders: StateFolders,
    private readonly logger: Logger,
  ) {}

  /** A recorder for a move that begins; whatever goes wrong with its file costs the trace alone. */
  begin(moveId: string, limits: PlannerLimits): TraceRecorder {
    const file = createWriteStream(this.folders.trace(moveId), { mode: 0o600 });
    file.on('error', (error) => this.#passOver('a trace could not be written', error));
    this.#prune().catch((error: unknown) => this.#passOver('old traces could not be removed', error));
    return new TraceRecorder(
      (text) => file.write(text),
      limits,
      () => file.end(),
    );
  }

  /** The trace of a move, as JSON lines. Throws TRACE_UNKNOWN. */
  async open(moveId: string): Promise<ReadStream> {
    try {
      return (await open(this.folders.trace(moveId), 'r')).createReadStream();
    } catch (cause) {
      throw new AgentError(
        'TRACE_UNKNOWN',
        `There is no trace of move ${moveId}: it is not from this host, or one of more than ${TRACES_KEPT} moves ago.`,
        { status: 404, cause },
      );
    }
  }

  async #prune(): Promise<void> {
    const { moves } = this.folders;
    const names = (await readdir(moves)).filter((name) => name.endsWith('.trace'));
    if (names.length <= TRACES_KEPT) return;
    const dated = await Promise.all(
      names.map(async (name) => ({ name, atMs: (await stat(join(moves, name))).mtimeMs })),
    );
    const oldestFirst = dated.sort((a, b) => a.atMs - b.atMs);
    for (const { name } of oldestFirst.slice(0, -TRACES_KEPT)) await rm(join(moves, name), { force: true });
  }

  #passOver(what: string, error: unknown): void {
    this.logger.warn({ error: describeError(error) }, what);
  }
}
