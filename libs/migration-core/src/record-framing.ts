import { type Frame, FRAME_TYPE, type FrameType, FrameWriter } from './frame';
import type { ColumnUnpacker } from './column-coding';
import { PageWireError } from './errors';
import type { Slabs } from './slabs';
import { storeSections, unpackSections, unstoreSections } from './record-packing';
import type { StreamRecord } from './stream-record';

/** What a link needs to know of a record to make a frame of it. */
export interface FrameContent {
  readonly type: FrameType;
  readonly payload: Uint8Array;
  readonly pageCount: number;
  readonly logicalBytes: number;
  readonly baseGeneration: number;
}

/** The frame for a record; `packed` is the payload of a data record, by default stored. */
export function contentOf(record: StreamRecord, packed?: Uint8Array): FrameContent {
  if (record.kind === 'data') {
    const { pageCount, logicalBytes, baseGeneration } = record;
    const payload = packed ?? storeSections(record.sections);
    return { type: FRAME_TYPE.data, payload, pageCount, logicalBytes, baseGeneration };
  }
  const type = record.kind === 'digest' ? FRAME_TYPE.digest : FRAME_TYPE.layout;
  return { type, payload: record.payload, pageCount: 0, logicalBytes: 0, baseGeneration: 0 };
}

export function frameOf(writer: FrameWriter, { type, payload, ...more }: FrameContent): Uint8Array {
  return writer.frame(type, payload, more);
}

/**
 * The record in a frame; to be called in the order in which frames came. Rejects with PageWireError when the frame
 * holds none, or does not hold. `slabs` as in `unpackSections`.
 */
export async function recordOf(frame: Frame, unpacker: ColumnUnpacker, slabs?: Slabs): Promise<StreamRecord> {
  if (frame.type !== FRAME_TYPE.data) return plainRecordOf(frame);
  return dataRecord(frame, await unpackSections(frame.payload, unpacker, slabs));
}

/** The same where nothing but stored sections was agreed on, at once. */
export function storedRecordOf(frame: Frame): StreamRecord {
  if (frame.type !== FRAME_TYPE.data) return plainRecordOf(frame);
  return dataRecord(frame, unstoreSections(frame.payload));
}

function dataRecord(
  { pageCount, logicalBytes, baseGeneration }: Frame,
  sections: ReturnType<typeof unstoreSections>,
): StreamRecord {
  return { kind: 'data', sections, pageCount, logicalBytes, baseGeneration };
}

function plainRecordOf({ type, payload }: Frame): StreamRecord {
  if (type === FRAME_TYPE.digest) return { kind: 'digest', payload };
  if (type === FRAME_TYPE.layout) return { kind: 'layout', payload };
  throw new PageWireError('FRAME_TYPE_UNKNOWN', `A frame of type ${type} is no part of a stream.`);
}
