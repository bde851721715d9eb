/** What went through one end of a move so far. */
export interface StreamCounters {
  /** Bytes of migration stream. */
  guestBytes: number;
  /** Page records that were understood: the sum of all kinds below. */
  pages: number;
  zeroPages: number;
  /** Pages that the other side held already, unchanged. */
  samePages: number;
  /** Pages that crossed as what changed in them. */
  deltaPages: number;
  /** Pages that the other side held elsewhere. */
  copiedPages: number;
  /** Pages whose content crossed as it is. */
  rawPages: number;
  /** Passes over the guest's memory that have begun. The target knows them as of the last hash. */
  rounds: number;
  /** Sections of the stream that have ended. The target knows them as of the last hash. */
  sections: number;
}

export function emptyCounters(): StreamCounters {
  return {
    guestBytes: 0,
    pages: 0,
    zeroPages: 0,
    samePages: 0,
    deltaPages: 0,
    copiedPages: 0,
    rawPages: 0,
    rounds: 0,
    sections: 0,
  };
}
