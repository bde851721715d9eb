export { availableCodecs, CODEC_ID, type CodecId, negotiate, RAW_BYTES_MAX } from './compression';
export { emptyCounters, type StreamCounters } from './counters';
export { crc32c } from './crc32c';
export { PageWireError, type PageWireErrorCode } from './errors';
export {
  type Frame,
  type FrameDetails,
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
export * from './copy';
export * from './history';
export * from './link';
export * from './planner';
export { PAGE_BYTES, type StreamVisitor } from './qemu-stream';
export type { RamBlock } from './ram-blocks';
export { type FrameContent, frameOf } from './record-framing';
export { RecordPacker, type RecordPackerOptions, RecordUnpacker } from './record-packer';
export { type LayoutNote, PageLayout } from './reduction/page-layout';
export { forgetOutside, type LoadedMirror, loadMirror, saveMirror } from './reduction/mirror-history';
export { emptyMirror, MIRROR_PAGES_DEFAULT, MIRROR_PAGES_MAX, PageMirror } from './reduction/page-mirror';
export { ReturnPathGate } from './return-path';
export { StreamDecoder, type StreamDecoderOptions } from './stream-decoder';
export {
  type StartingMirror,
  StreamEncoder,
  type StreamEncoderOptions,
  type StreamSummary,
} from './stream-encoder';
export { Slabs } from './slabs';
export { StreamParser } from './stream-parser';
export type { StreamRecord } from './stream-record';
export { decodeStream, type EncodePipeOptions, encodeStream, type StreamPipeOptions } from './stream-pipes';
