/** What went through one end of a move so far. */
export interface StreamCounters {
  /** Bytes of migration stream. */
  guestBytes: number;
  /** Bytes of frames that carried it, headers included, without TLS. */
  wireBytes: number;
  /** Page records that were understood: zero pages and raw pages. */
  pages: number;
  zeroPages: number;
  /** Pages whose content crossed as it is. */
  rawPages: number;
  /** Passes over the guest's memory that have begun. The target knows them as of the last hash. */
  rounds: number;
  /** Sections of the stream that have ended. The target knows them as of the last hash. */
  sections: number;
}

export function emptyCounters(): StreamCounters {
  return { guestBytes: 0, wireBytes: 0, pages: 0, zeroPages: 0, rawPages: 0, rounds: 0, sections: 0 };
}
