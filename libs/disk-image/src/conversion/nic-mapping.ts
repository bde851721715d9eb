/** A NIC's address on the physical server, and on the target. Mostly the same. */
export interface NicMapping {
  readonly oldMac: string;
  readonly newMac: string;
}
