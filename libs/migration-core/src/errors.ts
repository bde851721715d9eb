export type PageWireErrorCode =
  | 'FRAME_MAGIC'
  | 'FRAME_VERSION'
  | 'FRAME_FLAG_UNKNOWN'
  | 'FRAME_TYPE_UNKNOWN'
  | 'FRAME_TOO_LONG'
  | 'FRAME_CHECKSUM'
  | 'FRAME_EPOCH'
  | 'FRAME_SEQUENCE'
  | 'FRAME_BASE_UNKNOWN'
  | 'FRAME_TRUNCATED'
  | 'LINK_HELLO_INVALID'
  | 'LINK_ACKNOWLEDGE_INVALID'
  | 'LINK_WINDOW'
  | 'TOKEN_INVALID'
  | 'SECTIONS_INVALID'
  | 'LAYOUT_INVALID'
  | 'LAYOUT_TOO_LARGE'
  | 'STREAM_DIFFERS'
  | 'STREAM_ENDED'
  | 'STREAM_TRUNCATED';

/**
 * A peer sent something that is no valid frame or does not rebuild to what it says. The link cannot be trusted
 * from there on: drop it.
 */
export class PageWireError extends Error {
  readonly code: PageWireErrorCode;
  constructor(code: PageWireErrorCode, message: string) {
    super(message);
    this.name = 'PageWireError';
    this.code = code;
  }
}
