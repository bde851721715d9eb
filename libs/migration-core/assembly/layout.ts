/** Bytes of a page. */
export const PAGE_BYTES: usize = 4096;
/** Bytes of a line: the unit of a delta's line mask. */
export const LINE_BYTES: usize = 64;
/** Where the sixteen tables of the CRC lie: 16 KiB from the beginning of the memory, which no page may use. */
export const CRC32C_TABLES: usize = 0;

/** What `encodeDeltas` says of a page. */
export const KIND_SAME: u32 = 1;
export const KIND_DELTA: u32 = 2;
export const KIND_RAW: u32 = 3;
