export {
  type Codec,
  CODEC_ID,
  type CodecId,
  RAW_BYTES_MAX,
  storedCodec,
  type StreamCodec,
  type StreamCompressor,
  type StreamDecompressor,
} from './codec';
export { availableCodecs, codecOf, isStreamCodec, negotiate, packBytes, type PackedBytes } from './codecs';
export { CompressionError, type CompressionErrorCode } from './errors';
export { zstdCodec, ZSTD_LEVEL_MAX, ZSTD_LEVEL_MIN } from './zstd-codec';
export { zstdStreamCodec } from './zstd-stream-codec';
export { zstdStreamsOfSystem } from './zstd-system-streams';
export { findZstdLibrary, type ZstdLibrary } from './zstd-library';
export { sampledBitsPerByte, seemsIncompressible } from './entropy';
export {
  type ChooserState,
  type CompressionPlan,
  type CompressionSituation,
  initialChooserState,
  type LevelCost,
  levelCosts,
  observeBatch,
  planBatch,
  PROBE_EVERY_BATCHES,
} from './level-chooser';
export {
  type CompressionLevel,
  type CompressionMode,
  type LevelMeasurement,
  ZSTD_LEVELS,
  type ZstdLevel,
} from './level-figures';
