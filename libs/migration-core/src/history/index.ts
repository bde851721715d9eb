export { loadAgentKey } from './agent-key';
export type { HistoryDescription } from './description';
export { HistoryError, type HistoryErrorCode } from './errors';
export { type HistoryChunk, HistoryReader, sharedChunks } from './history-reader';
export { HistoryStore, type HistoryStoreOptions, type HistorySummary } from './history-store';
export { type HistoryOutcome, HistoryWriter } from './history-writer';
export { CHUNK_PAGES, ChunkLayout, type ChunkPlace } from './layout';
export { PRESENCE } from './presence';
