export { decodeHello, type Hello, SESSION_ID_BYTES, UNKNOWN_SESSION } from './link-messages';
export { LinkSession, type LinkSessionOptions, type LinkWire, refusalHello } from './link-session';
export type { ReceiveLimits } from './received-frames';
