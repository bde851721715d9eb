import { z } from 'zod';

/** Names that end up in paths and sockets: short, and nothing in them that a path or a shell would read. */
export const IdSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'must be 1 to 64 letters, digits, "-" or "_", and start with a letter or digit',
  );

const PortSchema = z.int().min(1).max(65_535);

const DiskPathSchema = z
  .string()
  .min(2)
  .max(4_000)
  .regex(/^\//, 'must be an absolute path')
  .refine(
    (path) => [...path].every((letter) => letter.codePointAt(0)! >= 0x20),
    'must not hold control characters',
  );

export const MacSchema = z
  .string()
  .regex(/^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$/, 'must be a unicast MAC such as 52:54:00:12:34:56')
  .transform((mac) => mac.toLowerCase());

export const GuestDiskSchema = z.strictObject({
  path: DiskPathSchema,
  /** Always named: guessing the format of a disk lets its content choose how the host reads it. */
  format: z.enum(['raw', 'qcow2']),
  bus: z.enum(['virtio-blk', 'virtio-scsi', 'ahci']),
  /** Writes go to a throw-away overlay; the disk is opened read-only. Such a guest cannot be moved. */
  snapshot: z.boolean().optional(),
});
export type GuestDisk = z.infer<typeof GuestDiskSchema>;

export const GuestNicSchema = z.strictObject({
  model: z.enum(['virtio-net', 'e1000e', 'e1000']),
  mac: MacSchema,
  /** True cuts the guest off from everything but its forwards. */
  isolated: z.boolean(),
  /** Guest TCP ports; the agent picks a loopback port of the host for each. */
  forwards: z.array(z.strictObject({ guestPort: PortSchema })).max(32),
});
export type GuestNic = z.infer<typeof GuestNicSchema>;

export const GuestSpecSchema = z.strictObject({
  guestId: IdSchema,
  memoryMiB: z.int().min(16).max(4_194_304),
  vcpus: z.int().min(1).max(256),
  machine: z.enum(['pc', 'q35']),
  disks: z.array(GuestDiskSchema).max(16),
  nics: z.array(GuestNicSchema).max(8),
  /**
   * Whose guest it is. Where both hosts of a move allow it, the guest may begin with what another guest of the same
   * tenant left there. Left out: it shares with no other guest, whatever hosts allow.
   */
  tenant: IdSchema.optional(),
});
export type GuestSpec = z.infer<typeof GuestSpecSchema>;

export const GUEST_STATES = [
  'starting',
  'running',
  'paused',
  'incoming',
  'stopped',
  'moved-away',
  'failed',
] as const;
export type GuestState = (typeof GUEST_STATES)[number];

export const ForwardSchema = z.object({ guestPort: PortSchema, hostPort: PortSchema });
export type Forward = z.infer<typeof ForwardSchema>;

export const GuestStatusSchema = z.object({
  guestId: IdSchema,
  state: z.enum(GUEST_STATES),
  forwards: z.array(ForwardSchema).max(256),
  /** The end of the serial console, at most 16 KiB of text. */
  consoleTail: z.string().max(65_536),
  /** When this agent started or received the guest; ISO 8601. */
  startedAt: z.string().optional(),
  /** Why the guest is in this state, in words, when it is not the expected one. */
  reason: z.string().optional(),
  /** Where a guest that moved away went. */
  movedTo: z.string().optional(),
});
export type GuestStatus = z.infer<typeof GuestStatusSchema>;

export const GuestEventSchema = z.object({
  /** Time of the event by the clock of the host's QEMU; ISO 8601 with microseconds. */
  at: z.string(),
  /** STOP, RESUME, SHUTDOWN, RESET, ... as QEMU names it. */
  event: z.string().max(128),
  agentId: IdSchema,
});
export type GuestEvent = z.infer<typeof GuestEventSchema>;
