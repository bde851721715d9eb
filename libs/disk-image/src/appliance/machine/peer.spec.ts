import { Duplex } from 'node:stream';
import { z } from 'zod';
import { ConsoleTail } from './console-tail';
import { FrameDecoder, encodeFrame } from './frames';
import { Peer, type PeerMachine } from './peer';

type Answerer = (request: { id: number; op: string }) => unknown;

/** A machine whose agent answers what the test says. */
class FakeMachine implements PeerMachine {
  readonly console = new ConsoleTail();
  readonly channel: Duplex;
  readonly ended: Promise<string>;
  isKilled = false;
  words = 'Kernel panic';
  end: (how: string) => void = () => undefined;

  constructor(answerer: Answerer) {
    const decoder = new FrameDecoder();
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.channel = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _, done) => {
        for (const { json } of decoder.push(chunk)) this.say(answerer(json as { id: number; op: string }));
        done();
      },
    });
  }

  say(json: unknown): void {
    if (json === undefined) return;
    this.channel.push(Buffer.concat(encodeFrame({ json, payload: Buffer.from('bytes') })));
  }

  lastWords(): string {
    return this.words;
  }

  async kill(): Promise<void> {
    this.isKilled = true;
    this.end('SIGKILL');
    await this.ended;
  }
}

const schema = z.object({ n: z.int() });
const echo: Answerer = ({ id }) => ({ id, ok: true, result: { n: id } });

describe('the peer of an appliance', () => {
  it('gives each request its own answer, in turn', async () => {
    const peer = new Peer(new FakeMachine(echo));
    const replies = await Promise.all([1, 2, 3].map(() => peer.request({ op: 'x', schema })));
    expect(replies.map(({ result }) => result.n)).toEqual([1, 2, 3]);
    expect(replies[0]?.payload.toString()).toBe('bytes');
  });

  it('passes a refusal on, without letters that move a cursor, and goes on', async () => {
    const error = { code: 'NOT_FOUND', message: '\u001b[2Jgone\n' };
    const answers: Answerer[] = [({ id }) => ({ id, ok: false, error }), echo];
    const peer = new Peer(new FakeMachine((request) => answers.shift()?.(request)));
    await expect(peer.request({ op: 'x', schema })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: ' [2Jgone ',
    });
    await expect(peer.request({ op: 'x', schema })).resolves.toMatchObject({ result: { n: 2 } });
  });

  it.each<[string, Answerer]>([
    ['does not fit its request', ({ id }) => ({ id, ok: true, result: { n: 'one' } })],
    ['belongs to another request', ({ id }) => ({ id: id + 1, ok: true, result: { n: 1 } })],
    ['is no answer', () => ['hello']],
    ['refuses without a reason', ({ id }) => ({ id, ok: false })],
  ])('stops a machine whose answer %s', async (_, answerer) => {
    const machine = new FakeMachine(answerer);
    const peer = new Peer(machine);
    const asked = peer.request({ op: 'x', schema });
    await expect(asked).rejects.toMatchObject({ code: 'APPLIANCE_ANSWER_INVALID' });
    expect(machine.isKilled).toBe(true);
    await expect(peer.request({ op: 'x', schema })).rejects.toMatchObject({
      code: 'APPLIANCE_ANSWER_INVALID',
    });
  });

  it('stops a machine that speaks unasked', async () => {
    const machine = new FakeMachine(echo);
    const peer = new Peer(machine);
    await peer.request({ op: 'x', schema });
    machine.say({ id: 1, ok: true, result: { n: 1 } });
    await machine.ended;
    expect(machine.isKilled).toBe(true);
  });

  it('does not wait longer than it was told', async () => {
    const machine = new FakeMachine(() => undefined);
    const asked = new Peer(machine).request({ op: 'x', schema, timeoutMs: 20 });
    await expect(asked).rejects.toMatchObject({ code: 'APPLIANCE_TIMED_OUT', canRetry: true });
    expect(machine.isKilled).toBe(true);
  });

  it('says what a machine said that ended by itself', async () => {
    const machine = new FakeMachine(() => undefined);
    const peer = new Peer(machine);
    const asked = peer.request({ op: 'x', schema });
    machine.end('status 0');
    await expect(asked).rejects.toMatchObject({
      code: 'APPLIANCE_DIED',
      message: expect.stringContaining('Kernel panic') as string,
    });
  });

  it('tells a disk that somebody else uses from a damaged one', async () => {
    const machine = new FakeMachine(() => undefined);
    machine.words = 'Failed to get shared "write" lock';
    const asked = new Peer(machine).request({ op: 'x', schema });
    machine.end('status 1');
    await expect(asked).rejects.toMatchObject({ code: 'APPLIANCE_UNAVAILABLE', canRetry: true });
  });
});
