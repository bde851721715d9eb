export type CompressionErrorCode =
  | 'COMPRESSION_CODEC_UNKNOWN'
  | 'COMPRESSION_LEVEL_INVALID'
  | 'COMPRESSION_TOO_LONG'
  | 'COMPRESSION_FRAME_INVALID'
  | 'COMPRESSION_FRAME_TRUNCATED'
  | 'COMPRESSION_WINDOW_TOO_LARGE'
  | 'COMPRESSION_LENGTH_WRONG'
  | 'COMPRESSION_BOMB'
  | 'COMPRESSION_FAILED';

/**
 * Bytes cannot be compressed or decompressed as asked. While decompressing it means that the other side sent what no
 * agent sends: the link cannot be trusted from there on, drop it.
 */
export class CompressionError extends Error {
  constructor(
    readonly code: CompressionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CompressionError';
  }
}
