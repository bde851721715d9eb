import type { Forward } from '@watari/host-agent-client';

export interface UsernetSocket {
  /** HOST_FORWARD for a forward that listens, else the state of a connection: SYN_SENT, ESTABLISHED, ... */
  readonly state: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

/**
 * The TCP sockets in what QEMU's monitor answers to `info usernet`, newest first. Its lines look like
 * `  TCP[HOST_FORWARD]  10   127.0.0.1 42523   10.0.2.15    80     0     0`.
 */
export function readUsernet(report: string): UsernetSocket[] {
  return report.split(/\r?\n/).flatMap((line) => {
    const match = /^\s*TCP\[(\w+)\]\s+\S+\s+\S+\s+(\d{1,5})\s+\S+\s+(\d{1,5})\s/.exec(line);
    return match ? [{ state: match[1]!, hostPort: Number(match[2]), guestPort: Number(match[3]) }] : [];
  });
}

export function readForwards(report: string): Forward[] {
  return readUsernet(report)
    .filter(({ state }) => state === 'HOST_FORWARD')
    .map(({ hostPort, guestPort }) => ({ guestPort, hostPort }))
    .reverse();
}
