/** The machine the disk belongs to: what is written into it and what it must be started with. */
export const SERVER = {
  hostname: 'ledger-01',
  mac: '52:54:00:4c:ed:01',
  nicName: 'lan0',
  servicePort: 8080,
} as const;

/** Everything about the disk's shape; 1.5 GiB, of which about a third is used. */
export const LAYOUT = {
  diskBytes: 1536 * 1024 ** 2,
  /** GRUB's second stage lies between the partition table and here. */
  partitionOffsetBytes: 1024 ** 2,
} as const;
