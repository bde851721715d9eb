import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';

import type { AgentHealth } from '@watari/host-agent-client';

/** Sockets, physical cores and memory of this host. */
export async function readHostFacts(): Promise<AgentHealth['host']> {
  return {
    ...countCores(await readFile('/proc/cpuinfo', 'utf8'), cpus().length),
    memoryMiB: Math.max(1, Math.floor(totalmem() / (1024 * 1024))),
  };
}

/** Counts in /proc/cpuinfo; where it names no sockets (some virtual machines), every thread is taken for a core. */
export function countCores(
  cpuInfo: string,
  threadCount: number,
): Pick<AgentHealth['host'], 'cpuSockets' | 'cpuCores'> {
  const sockets = new Set<string>();
  const cores = new Set<string>();
  for (const block of cpuInfo.split(/\n\s*\n/)) {
    const socket = /^physical id\s*:\s*(\d+)$/m.exec(block)?.[1];
    const core = /^core id\s*:\s*(\d+)$/m.exec(block)?.[1];
    if (socket === undefined) continue;
    sockets.add(socket);
    if (core !== undefined) cores.add(`${socket}/${core}`);
  }
  return {
    cpuSockets: Math.max(1, sockets.size),
    cpuCores: Math.max(1, cores.size > 0 ? cores.size : threadCount),
  };
}

/** Equal for all processes between two boots of one machine. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
