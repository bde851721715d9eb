import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { isMoveOver } from '@watari/host-agent-client';
import type { Logger } from 'pino';

import { describeError } from '../errors';
import type { StateFolders } from '../state/folders';
import { readRecord, removeRecord, writeRecord } from '../state/record-file';
import { type MoveRecord, MoveRecordSchema } from './move-record';

/** Older moves that are over are forgotten when the agent starts. */
const MOVES_KEPT = 1_000;

/** Records of moves, in memory and on disk. */
export class MoveStore {
  readonly #records = new Map<string, MoveRecord>();

  constructor(
    private readonly folders: StateFolders,
    private readonly logger: Logger,
  ) {}

  get(moveId: string): MoveRecord | undefined {
    return this.#records.get(moveId);
  }

  all(): MoveRecord[] {
    return [...this.#records.values()];
  }

  /** On disk once this resolves. */
  async put(record: MoveRecord): Promise<void> {
    const moveId = moveIdOf(record);
    this.#records.set(moveId, record);
    await writeRecord(this.folders.move(moveId), record);
  }

  async load(): Promise<void> {
    const names = (await readdir(this.folders.moves)).filter((name) => name.endsWith('.json'));
    const found = await Promise.all(names.map((name) => this.#read(join(this.folders.moves, name))));
    const newestFirst = found.filter((one) => one !== null).sort((a, b) => b.writtenMs - a.writtenMs);
    for (const [index, { record }] of newestFirst.entries()) {
      const isForgotten =
        index >= MOVES_KEPT && (record.role === 'target' || isMoveOver(record.status.state));
      if (isForgotten) await removeRecord(this.folders.move(moveIdOf(record)));
      else this.#records.set(moveIdOf(record), record);
    }
  }

  async #read(path: string): Promise<{ record: MoveRecord; writtenMs: number } | null> {
    try {
      const record = await readRecord(path, MoveRecordSchema);
      return record && { record, writtenMs: (await stat(path)).mtimeMs };
    } catch (error) {
      this.logger.error({ error: describeError(error) }, 'the record of a move cannot be read');
      return null;
    }
  }
}

function moveIdOf(record: MoveRecord): string {
  return record.role === 'source' ? record.request.moveId : record.moveId;
}
