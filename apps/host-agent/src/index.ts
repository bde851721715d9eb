export { AGENT_VERSION, type HostAgent, type HostAgentOptions, startHostAgent } from './agent';
export { AgentError } from './errors';
