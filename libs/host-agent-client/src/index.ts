export { CertificateAuthority, type TlsFiles, type TlsMaterial } from './certificates';
export {
  createHostAgentClient,
  type HostAgentClient,
  type HostAgentClientOptions,
  readTlsMaterial,
} from './client';
export { HostAgentError } from './errors';
export {
  type Forward,
  ForwardSchema,
  GUEST_STATES,
  type GuestDisk,
  GuestDiskSchema,
  type GuestEvent,
  GuestEventSchema,
  type GuestNic,
  GuestNicSchema,
  type GuestSpec,
  GuestSpecSchema,
  type GuestState,
  type GuestStatus,
  GuestStatusSchema,
  IdSchema,
} from './guest-schemas';
export { type Identity, identityOf, identityUri } from './identity';
export {
  type Address,
  AddressSchema,
  type AgentHealth,
  type AgentHistory,
  AgentHealthSchema,
  AgentHistorySchema,
  isMoveOver,
  MOVE_STATES,
  type MoveOwnership,
  MoveOwnershipSchema,
  type MoveRequest,
  MoveRequestSchema,
  type MoveState,
  type MoveStatus,
  MoveStatusSchema,
  type Problem,
  ProblemSchema,
  type ProbeRequest,
  ProbeRequestSchema,
  type ProbeResult,
  ProbeResultSchema,
  type StorageCheckRequest,
  StorageCheckRequestSchema,
  type StorageCheckResult,
  StorageCheckResultSchema,
} from './move-schemas';
export { formatProbe, parseProbe, type Probe, ProbeInvalid, ProbeSchema } from './probe';
