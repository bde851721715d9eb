export { BlockDeviceSource, type BlockDeviceOptions, FileTarget } from './block-device';
export { PageCopyError, type PageCopyErrorCode } from './errors';
export { MemoryStream } from './memory-stream';
export { PageReceiver, type PageReceiverOptions } from './page-receiver';
export { PageSender, type PageSenderOptions } from './page-sender';
export { type PageRun, PageSet } from './page-set';
export type { PageSource, PageTarget } from './page-source';
export { PageRequests, postCopy, PostCopyTarget } from './post-copy';
export { type PreCopied, preCopy, type PreCopyOptions, stopAndCopy, type Stopped } from './pre-copy';
