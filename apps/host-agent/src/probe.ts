import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Forward, Probe, ProbeRequest, ProbeResult } from '@watari/host-agent-client';

import { describeError } from './errors';
import type { Guest } from './guests/guest';
import { readUsernet } from './qemu/usernet';

const PAUSE_MS = 200;
/** One attempt; a guest that boots leaves connections hanging. */
const ATTEMPT_MS_MAX = 5_000;
const ACCEPT_POLL_MS = 50;

interface Attempt {
  readonly ok: boolean;
  readonly detail: string;
}

/** Tries until the probe succeeds, time is up, the guest is gone, or the caller went away. */
export async function probeGuest(
  guest: Guest,
  { probe, timeoutMs }: ProbeRequest,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const began = performance.now();
  let last: Attempt = { ok: false, detail: 'not tried yet' };
  for (;;) {
    const leftMs = timeoutMs - (performance.now() - began);
    const afterMs = Math.round(performance.now() - began);
    if (leftMs <= 0 || signal.aborted) return { ok: false, afterMs, detail: last.detail };
    if (!guest.hasMachine) return { ok: false, afterMs, detail: `the guest is ${guest.status().state}` };
    last = await attempt(guest, probe, Math.min(ATTEMPT_MS_MAX, Math.max(1, leftMs)));
    if (last.ok) return { ...last, afterMs: Math.round(performance.now() - began) };
    await sleep(Math.min(PAUSE_MS, Math.max(1, timeoutMs - (performance.now() - began))));
  }
}

async function attempt(guest: Guest, probe: Probe, timeoutMs: number): Promise<Attempt> {
  if (probe.kind === 'console') {
    await guest.drainConsole();
    const ok = guest.console.includes(probe.text);
    return { ok, detail: ok ? 'the text is on the console' : 'the text is not on the console yet' };
  }
  const forward = guest.forwards.find(({ guestPort }) => guestPort === probe.port);
  if (!forward)
    return {
      ok: false,
      detail: `the guest has no forward for port ${probe.port}; its specification must name one`,
    };
  return probe.kind === 'tcp'
    ? tryTcp(guest, forward, timeoutMs)
    : tryHttp(forward.hostPort, probe.path, timeoutMs);
}

/**
 * A connection that the guest itself accepts. That it opens proves nothing: QEMU's network stack accepts it and
 * only then asks the guest, so that stack is asked how far the connection got.
 */
async function tryTcp(guest: Guest, { hostPort, guestPort }: Forward, timeoutMs: number): Promise<Attempt> {
  const deadline = performance.now() + timeoutMs;
  const socket = connect({ host: '127.0.0.1', port: hostPort });
  const seen: { spoke?: true; ended?: string } = {};
  socket.on('data', () => (seen.spoke = true));
  socket.on('end', () => (seen.ended ??= 'the guest refused the connection'));
  socket.on('error', (error) => (seen.ended ??= `the connection failed: ${error.message}`));
  try {
    while (performance.now() < deadline) {
      if (seen.spoke) return { ok: true, detail: 'the guest spoke' };
      if (seen.ended) return { ok: false, detail: seen.ended };
      const sockets = readUsernet(await guest.machine.usernetReport());
      const isAccepted = sockets.some(
        (one) => one.state === 'ESTABLISHED' && one.hostPort === hostPort && one.guestPort === guestPort,
      );
      if (isAccepted && !seen.ended) return { ok: true, detail: 'the guest accepted the connection' };
      await sleep(ACCEPT_POLL_MS);
    }
    return { ok: false, detail: 'the guest did not accept the connection in time' };
  } catch (error) {
    return { ok: false, detail: describeError(error).reason };
  } finally {
    socket.destroy();
  }
}

function tryHttp(port: number, path: string, timeoutMs: number): Promise<Attempt> {
  return new Promise((resolve) => {
    const request = get(
      { host: '127.0.0.1', port, path, agent: false, signal: AbortSignal.timeout(Math.ceil(timeoutMs)) },
      (response) => {
        const status = response.statusCode ?? 0;
        response.destroy();
        resolve({ ok: status >= 200 && status < 400, detail: `status ${status}` });
      },
    );
    request.on('error', (error) => resolve({ ok: false, detail: `no answer: ${error.message}` }));
  });
}
