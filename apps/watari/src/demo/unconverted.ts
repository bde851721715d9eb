import type { HostAgentClient, Probe } from '@watari/host-agent-client';

export type UnconvertedOutcome =
  | { readonly boots: false; readonly afterMs: number; readonly sign: string }
  | { readonly boots: true; readonly afterMs: number }
  | { readonly boots: 'unknown'; readonly afterMs: number };

/** What a Linux system says on its console when it cannot find its root disk. */
const SIGNS = [
  /ALERT!.*does not exist/,
  /Kernel panic[^\n]*/,
  /Gave up waiting for root[^\n]*/,
  /\(initramfs\)/,
  /dracut-initqueue timeout[^\n]*/,
  /emergency mode/i,
];
const PATIENCE_MS = 300_000;
const SLICE_MS = 2000;

/**
 * Boots a server's disk as it is on the target's virtual hardware, on a throw-away overlay and cut off from every
 * network, to see whether it needs converting at all.
 */
export async function bootUnconverted(
  agent: HostAgentClient,
  disk: { readonly path: string; readonly format: 'raw' | 'qcow2' },
  mac: string,
  probe: Probe,
  signal: AbortSignal,
): Promise<UnconvertedOutcome> {
  const guestId = 'unconverted';
  const began = performance.now();
  const afterMs = () => Math.round(performance.now() - began);
  try {
    await agent.putGuest({
      guestId,
      memoryMiB: 512,
      vcpus: 1,
      machine: 'q35',
      disks: [{ ...disk, bus: 'virtio-blk', snapshot: true }],
      nics: [
        {
          model: 'virtio-net',
          mac,
          isolated: true,
          forwards: probe.kind === 'console' ? [] : [{ guestPort: probe.port }],
        },
      ],
    });
    while (afterMs() < PATIENCE_MS) {
      signal.throwIfAborted();
      if ((await agent.probe(guestId, { probe, timeoutMs: SLICE_MS })).ok)
        return { boots: true, afterMs: afterMs() };
      const { consoleTail, state } = await agent.getGuest(guestId);
      for (const sign of SIGNS) {
        const found = sign.exec(consoleTail)?.[0];
        if (found) return { boots: false, afterMs: afterMs(), sign: found.trim().slice(0, 120) };
      }
      if (state === 'failed' || state === 'stopped')
        return { boots: false, afterMs: afterMs(), sign: `the guest is ${state}` };
    }
    return { boots: 'unknown', afterMs: afterMs() };
  } finally {
    await agent.deleteGuest(guestId);
  }
}
