export { mistakesInCompose } from './compose-schema';
export { parseDockerfile } from './dockerfile';
export type { Dockerfile, Instruction, Stage } from './dockerfile';
export { mistakesInManifests } from './kubernetes-types-check';
export { readManifests, readYaml, repository } from './repository';
export type { Manifest } from './repository';
