export { emptyCounters, type StreamCounters } from './counters';
export { crc32c } from './crc32c';
export { PageWireError, type PageWireErrorCode } from './errors';
export {
  type Frame,
  FRAME_HEADER_BYTES,
  FRAME_LOGICAL_BYTES_MAX,
  FRAME_PAYLOAD_BYTES_MAX,
  FRAME_TYPE,
  FRAME_VERSION,
  FrameReader,
  type FrameReaderOptions,
  type FrameType,
  FrameWriter,
} from './frame';
export { PAGE_BYTES, type StreamVisitor } from './qemu-stream';
export type { RamBlock } from './ram-blocks';
export { ReturnPathGate } from './return-path';
export { StreamDecoder } from './stream-decoder';
export { StreamEncoder, type StreamSummary } from './stream-encoder';
export { StreamParser } from './stream-parser';
export { decodeStream, encodeStream, type StreamPipeOptions } from './stream-pipes';
