import type { Assignment } from '@watari/contracts-migration-execution';
import { defineAggregate, never } from '@watari/event-sourcing';

export type WorkKind = 'copy-disk' | 'convert-guest' | 'discard-copy' | 'discard-clone';

export interface Disk {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

interface Work {
  readonly kind: WorkKind;
  readonly attempt: number;
}

export type ConversionCommand =
  | { type: 'RequestWork'; data: Work & { assignment: Assignment; at: string } }
  | { type: 'RecordCopy'; data: { attempt: number; replica: Disk; copiedBytes: number; at: string } }
  | {
      type: 'RecordGuest';
      data: {
        attempt: number;
        disk: Disk;
        manifestPath: string;
        steps: readonly { name: string; summary: string }[];
        mac: string;
        at: string;
      };
    }
  | { type: 'RecordDiscard'; data: { kind: 'discard-copy' | 'discard-clone'; attempt: number; at: string } }
  | { type: 'RecordFailure'; data: Work & { code: string; reason: string; canRetry: boolean; at: string } };

type DataOf<Type extends ConversionCommand['type']> = Extract<ConversionCommand, { type: Type }>['data'];

export type ConversionEvent =
  | { type: 'WorkRequested'; data: DataOf<'RequestWork'> & { replica?: Disk } }
  | { type: 'DiskCopied'; data: DataOf<'RecordCopy'> }
  | { type: 'GuestConverted'; data: DataOf<'RecordGuest'> }
  | { type: 'Discarded'; data: DataOf<'RecordDiscard'> }
  | { type: 'WorkFailed'; data: DataOf<'RecordFailure'> };

/** The disks made for one migration: the replica, which stays as the source was, and the clone that is converted. */
export interface Conversion {
  readonly replica?: Disk;
  readonly disk?: Disk;
  /** `<kind>:<attempt>` of everything asked for, and whether it is still open. */
  readonly work: Readonly<Record<string, 'open' | 'over'>>;
}

export const conversion = defineAggregate<Conversion, ConversionCommand, ConversionEvent>({
  name: 'conversion',
  initialState: { work: {} },
  events: {
    WorkRequested: { version: 1 },
    DiskCopied: { version: 1 },
    GuestConverted: { version: 1 },
    Discarded: { version: 1 },
    WorkFailed: { version: 1 },
  },
  decide,
  evolve,
});

function decide(command: ConversionCommand, state: Conversion): readonly ConversionEvent[] {
  switch (command.type) {
    case 'RequestWork': {
      if (keyOf(command.data) in state.work) return [];
      return requestWork(command.data, state);
    }
    case 'RecordCopy':
      return isOpen({ kind: 'copy-disk', attempt: command.data.attempt }, state)
        ? [{ type: 'DiskCopied', data: command.data }]
        : [];
    case 'RecordGuest':
      return isOpen({ kind: 'convert-guest', attempt: command.data.attempt }, state)
        ? [{ type: 'GuestConverted', data: command.data }]
        : [];
    case 'RecordDiscard':
      return isOpen(command.data, state) ? [{ type: 'Discarded', data: command.data }] : [];
    case 'RecordFailure':
      return isOpen(command.data, state) ? [{ type: 'WorkFailed', data: command.data }] : [];
    default:
      return never(command);
  }
}

/** Converting needs the replica; asked for without one it fails at once, so that the migration hears of it. */
function requestWork(data: DataOf<'RequestWork'>, state: Conversion): readonly ConversionEvent[] {
  const requested: ConversionEvent = {
    type: 'WorkRequested',
    data: { ...data, ...(state.replica && { replica: state.replica }) },
  };
  if (data.kind !== 'convert-guest' || state.replica) return [requested];
  const failure = {
    code: 'REPLICA_MISSING',
    reason: 'There is no replica of the source disk to convert.',
    canRetry: false,
  };
  return [
    requested,
    { type: 'WorkFailed', data: { kind: data.kind, attempt: data.attempt, at: data.at, ...failure } },
  ];
}

function evolve(state: Conversion, event: ConversionEvent): Conversion {
  switch (event.type) {
    case 'WorkRequested':
      return {
        ...state,
        work: { ...withCancelled(state.work, event.data.kind), [keyOf(event.data)]: 'open' },
      };
    case 'DiskCopied':
      return {
        ...over(state, { kind: 'copy-disk', attempt: event.data.attempt }),
        replica: event.data.replica,
      };
    case 'GuestConverted':
      return {
        ...over(state, { kind: 'convert-guest', attempt: event.data.attempt }),
        disk: event.data.disk,
      };
    case 'Discarded': {
      const { replica, disk, ...rest } = over(state, event.data);
      const keepsReplica = event.data.kind === 'discard-clone' && replica;
      const keepsDisk = event.data.kind === 'discard-copy' && disk;
      return { ...rest, ...(keepsReplica && { replica }), ...(keepsDisk && { disk }) };
    }
    case 'WorkFailed':
      return over(state, event.data);
    default:
      return never(event);
  }
}

/** Discarding ends the work that it discards: a result that arrives later counts for nothing. */
function withCancelled(work: Conversion['work'], kind: WorkKind): Conversion['work'] {
  const cancelled =
    kind === 'discard-copy' ? 'copy-disk:' : kind === 'discard-clone' ? 'convert-guest:' : undefined;
  if (!cancelled) return work;
  return Object.fromEntries(
    Object.entries(work).map(([key, status]) => [key, key.startsWith(cancelled) ? 'over' : status]),
  );
}

function over(state: Conversion, work: Work): Conversion {
  return { ...state, work: { ...state.work, [keyOf(work)]: 'over' } };
}

function isOpen(work: Work, state: Conversion): boolean {
  return state.work[keyOf(work)] === 'open';
}

function keyOf({ kind, attempt }: Work): string {
  return `${kind}:${attempt}`;
}
