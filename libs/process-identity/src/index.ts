export { FolderInUse, FolderLock } from './folder-lock';
export { isAlive, processStartTime, processesIn } from './process-identity';
