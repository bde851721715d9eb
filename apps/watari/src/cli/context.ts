import type { Command } from 'commander';
import { defaultDataFolder, findInstallation } from '../embedded/data-folder';
import { ApiClient } from './api-client';
import { type Output, createOutput } from './output';

/** What every command has at hand. */
export interface CommandContext {
  readonly dataFolder: string;
  readonly output: Output;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
  /** The running installation. Throws WATARI_NOT_RUNNING. */
  api(): Promise<ApiClient>;
}

export function contextOf(command: Command, signal: AbortSignal): CommandContext {
  const { data, json } = command.optsWithGlobals<{ data?: string; json?: boolean }>();
  const dataFolder = data ?? defaultDataFolder();
  return {
    dataFolder,
    output: createOutput(json === true),
    signal,
    api: async () => new ApiClient(await findInstallation(dataFolder)),
  };
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
