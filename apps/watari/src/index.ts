export { runCli } from './cli/program';
export { startEmbedded } from './embedded/embedded';
export type { Embedded, EmbeddedOptions } from './embedded/embedded';
