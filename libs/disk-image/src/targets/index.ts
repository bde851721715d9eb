export { proofArguments } from './boot-proof';
export type { ProofMachine } from './boot-proof';
export { checkTarget } from './check-target';
export type { KernelFacts, TargetFacts, TargetProblem, TargetProblemCode } from './check-target';
export { AGENTS, TARGET_NAMES } from './target';
export type {
  AgentOwner,
  BootProof,
  ContainerEdit,
  ContainerTarget,
  Drivers,
  MachineTarget,
  Target,
  TargetName,
} from './target';
export { TARGETS, isTargetName } from './targets';
