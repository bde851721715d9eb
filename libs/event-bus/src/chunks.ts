import type { OutgoingRecord } from './event-bus';

/** The records in their order, in chunks of bounded count and size; a single record may be larger than the bound. */
export function* chunksOf(
  records: readonly OutgoingRecord[],
  { recordsMax, bytesMax }: { readonly recordsMax: number; readonly bytesMax: number },
): Generator<OutgoingRecord[]> {
  let chunk: OutgoingRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const recordBytes = Buffer.byteLength(record.value);
    if (chunk.length === recordsMax || (chunk.length > 0 && bytes + recordBytes > bytesMax)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(record);
    bytes += recordBytes;
  }
  if (chunk.length > 0) yield chunk;
}
