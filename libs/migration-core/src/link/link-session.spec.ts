import { type Frame, FRAME_TYPE, FrameReader, FrameWriter, stampEpoch } from '../frame';
import { codeOf } from '../testing/code-of';
import { SeededChance } from '../testing/seeded-chance';
import { decodeHello, encodeAcknowledge, encodeHello, UNKNOWN_SESSION } from './link-messages';
import { LinkSession, type LinkWire } from './link-session';

const SESSION = 'ab'.repeat(16);

/** One direction of a connection: bytes wait in it until they are carried, or lost with it. */
class Pipe implements LinkWire {
  queuedBytes = 0;
  bytesCarried = 0;
  readonly #waiting: Uint8Array[] = [];
  readonly #reader: FrameReader;

  constructor(
    readonly epoch: number,
    onFrame: (frame: Frame) => void,
  ) {
    this.#reader = new FrameReader(onFrame, { epoch, isOneOfSeveral: true });
  }

  write(bytes: Uint8Array): void {
    // As a socket does; the session may stamp the same frame anew for another connection.
    this.#waiting.push(Uint8Array.from(bytes));
    this.queuedBytes += bytes.length;
  }

  /** The other end reads so many bytes of what waits. */
  carry(bytes: number): void {
    let left = bytes;
    while (left > 0 && this.#waiting[0]) {
      const piece = this.#waiting[0].subarray(0, left);
      const rest = this.#waiting[0].subarray(piece.length);
      if (rest.length > 0) this.#waiting[0] = rest;
      else this.#waiting.shift();
      left -= piece.length;
      this.queuedBytes -= piece.length;
      this.bytesCarried += piece.length;
      this.#reader.push(piece);
    }
  }
}

/** Two sessions and the connections between them. */
class Network {
  readonly near: LinkSession;
  readonly far: LinkSession;
  readonly toFar: Uint8Array[] = [];
  readonly toNear: Uint8Array[] = [];
  readonly #connections = new Set<{ there: Pipe; back: Pipe }>();
  #epoch = 0;

  constructor() {
    this.near = new LinkSession((frame) => this.toNear.push(frame.payload), { sessionId: SESSION });
    this.far = new LinkSession((frame) => this.toFar.push(frame.payload), { sessionId: SESSION });
  }

  get connections() {
    return [...this.#connections];
  }

  connect(): void {
    this.#epoch += 1;
    const connection = {
      there: this.#pipe(this.#epoch, () => this.far),
      back: this.#pipe(this.#epoch, () => this.near),
    };
    connection.there.pair = connection.back;
    connection.back.pair = connection.there;
    connection.there.write(this.near.hello(this.#epoch));
    connection.back.write(this.far.hello(this.#epoch));
    this.#connections.add(connection);
  }

  cut(connection: { there: Pipe; back: Pipe }): void {
    this.#connections.delete(connection);
    this.near.leave(connection.there);
    this.far.leave(connection.back);
  }

  /** All that waits arrives, until nothing does. */
  settle(): void {
    for (let turn = 0; turn < 20; turn += 1) {
      for (const { there, back } of this.#connections) {
        there.carry(Infinity);
        back.carry(Infinity);
      }
      this.near.acknowledge();
      this.far.acknowledge();
    }
  }

  #pipe(epoch: number, receiver: () => LinkSession): Pipe & { pair?: Pipe } {
    const pipe: Pipe & { pair?: Pipe } = new Pipe(epoch, (frame) => {
      // What one end reads belongs to the wire that this end writes to.
      if (frame.type === FRAME_TYPE.hello)
        receiver().join(pipe.pair!, decodeHello(frame.payload).receivedSequence);
      else receiver().take(pipe.pair!, frame);
    });
    return pipe;
  }
}

function send(session: LinkSession, payload: Uint8Array): void {
  session.send(session.writer.frame(FRAME_TYPE.data, payload));
}

describe('a link of several connections', () => {
  it('hands on every frame once and in order, both ways', () => {
    const network = new Network();
    for (let count = 0; count < 3; count += 1) network.connect();
    const payloads = Array.from({ length: 50 }, (_, index) => Uint8Array.of(index));
    for (const payload of payloads) send(network.near, payload);
    for (const payload of payloads) send(network.far, payload);
    network.settle();
    expect(network.toFar).toEqual(payloads);
    expect(network.toNear).toEqual(payloads);
    expect([network.near.isSettled, network.far.isSettled, network.near.resentBytes]).toEqual([
      true,
      true,
      0,
    ]);
  });

  it('keeps what is sent without a connection, and sends it once there is one', () => {
    const network = new Network();
    send(network.near, Uint8Array.of(1));
    expect([network.near.isConnected, network.near.isSettled]).toEqual([false, false]);
    network.connect();
    network.settle();
    expect(network.toFar).toEqual([Uint8Array.of(1)]);
    expect(network.near.resentBytes).toBe(0);
  });

  const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const cases = Number(process.env['WATARI_FUZZ_CASES'] ?? 100);

  it(`loses nothing and repeats nothing, however connections come and go (seed ${seed})`, () => {
    for (let index = 0; index < cases; index += 1) {
      const chance = new SeededChance(seed + index);
      const network = new Network();
      const sent = { near: [] as Uint8Array[], far: [] as Uint8Array[] };
      let cutBytes = 0;
      for (let step = 0; step < 120; step += 1) {
        const what = chance.below(10);
        const connections = network.connections;
        if (what < 4) {
          const side = chance.below(3) === 0 ? 'far' : 'near';
          const payload = Uint8Array.from(chance.bytes(1 + chance.below(600)));
          sent[side].push(payload);
          send(network[side], payload);
        } else if (what < 8 && connections.length > 0) {
          const { there, back } = connections[chance.below(connections.length)]!;
          (chance.below(2) ? there : back).carry(chance.below(900));
        } else if (what === 8 && connections.length < 4) network.connect();
        else if (what === 9 && connections.length > 0 && chance.below(2) === 0) {
          const connection = connections[chance.below(connections.length)]!;
          cutBytes += sentOn(network);
          network.cut(connection);
        } else network[chance.below(2) ? 'near' : 'far'].acknowledge();
      }
      network.connect();
      network.settle();
      expect({ index, ...network.toFar }).toEqual({ index, ...sent.near });
      expect({ index, ...network.toNear }).toEqual({ index, ...sent.far });
      expect([network.near.isSettled, network.far.isSettled]).toEqual([true, true]);
      expect(network.near.resentBytes + network.far.resentBytes).toBeLessThanOrEqual(cutBytes);
    }
  });

  /** No more than was not acknowledged can be sent again. */
  function sentOn(network: Network): number {
    return network.near.unacknowledgedBytes + network.far.unacknowledgedBytes;
  }

  it('sends again after a cut only what had not come', () => {
    const network = new Network();
    network.connect();
    network.settle();
    for (let index = 0; index < 100; index += 1) send(network.near, new Uint8Array(10_000).fill(index));
    const [connection] = network.connections;
    // All but the last fifth arrives; nobody has acknowledged it when the connection is cut.
    connection!.there.carry(800_000);
    network.cut(connection!);
    network.connect();
    network.settle();
    expect(network.toFar.map(([first]) => first)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(network.near.resentBytes).toBeLessThan(220_000);
    expect(network.far.duplicates).toBe(0);
  });

  it('waits with what came while it is paused', () => {
    const network = new Network();
    network.connect();
    network.far.pause();
    send(network.near, Uint8Array.of(1));
    network.settle();
    expect(network.toFar).toEqual([]);
    expect(network.near.isSettled).toBe(true);
    network.far.resume();
    expect(network.toFar).toEqual([Uint8Array.of(1)]);
  });

  it('is full when the other side acknowledges nothing', () => {
    const session = new LinkSession(() => undefined, { sessionId: SESSION });
    while (!session.isFull) send(session, new Uint8Array(1024 * 1024));
    expect(session.unacknowledgedBytes).toBeLessThan(140 * 1024 * 1024);
  });
});

describe('a link whose other side lies', () => {
  const wire: LinkWire = { epoch: 1, queuedBytes: 0, write: () => undefined };
  let session: LinkSession;
  let handedOn: Frame[];
  let theirs: FrameWriter;

  beforeEach(() => {
    handedOn = [];
    session = new LinkSession((frame) => handedOn.push(frame), {
      sessionId: SESSION,
      limits: { framesAheadMax: 100, bytesAheadMax: 1_000 },
    });
    session.join(wire, 0);
    theirs = new FrameWriter(1);
  });

  const read = (bytes: Uint8Array) =>
    new FrameReader((frame) => session.take(wire, frame), { epoch: 1, isOneOfSeveral: true }).push(bytes);
  const skip = (count: number) => {
    for (let frame = 0; frame < count; frame += 1) theirs.frame(FRAME_TYPE.data, new Uint8Array(0));
  };

  it('refuses an acknowledgement of what was never sent', () => {
    send(session, Uint8Array.of(1));
    const claim = (sequence: number) =>
      read(FrameWriter.unnumbered(FRAME_TYPE.acknowledge, encodeAcknowledge(sequence), 1));
    claim(1);
    // An older one, overtaken on its way.
    claim(0);
    expect(codeOf(() => claim(2))).toBe('LINK_ACKNOWLEDGE_INVALID');
    expect(codeOf(() => session.join(wire, 9))).toBe('LINK_ACKNOWLEDGE_INVALID');
  });

  it('refuses frames far ahead, in number and in bytes', () => {
    skip(150);
    expect(codeOf(() => read(theirs.frame(FRAME_TYPE.data, Uint8Array.of(1))))).toBe('LINK_WINDOW');
    theirs = new FrameWriter(1);
    skip(1);
    read(theirs.frame(FRAME_TYPE.data, new Uint8Array(900)));
    expect(codeOf(() => read(theirs.frame(FRAME_TYPE.data, new Uint8Array(200))))).toBe('LINK_WINDOW');
    expect(handedOn).toEqual([]);
  });

  it('drops a frame that comes again, at once or much later', () => {
    const frame = theirs.frame(FRAME_TYPE.data, Uint8Array.of(7));
    read(frame);
    read(frame);
    read(theirs.frame(FRAME_TYPE.data, Uint8Array.of(8)));
    read(frame);
    expect(handedOn.map(({ payload }) => payload[0])).toEqual([7, 8]);
    expect(session.duplicates).toBe(2);
  });

  it('refuses frames of another connection, numbered hellos, and hellos in the middle', () => {
    const frame = theirs.frame(FRAME_TYPE.data, Uint8Array.of(1));
    expect(codeOf(() => read(stampEpoch(frame, 2)))).toBe('FRAME_EPOCH');
    expect(codeOf(() => read(theirs.frame(FRAME_TYPE.hello, new Uint8Array(24))))).toBe('FRAME_SEQUENCE');
    expect(codeOf(() => read(FrameWriter.unnumbered(FRAME_TYPE.data, new Uint8Array(1), 1)))).toBe(
      'FRAME_SEQUENCE',
    );
    expect(codeOf(() => read(session.hello(1)))).toBe('LINK_HELLO_INVALID');
  });

  it('refuses hellos and acknowledgements of another length, and sequences that cannot be', () => {
    expect(codeOf(() => decodeHello(new Uint8Array(23)))).toBe('LINK_HELLO_INVALID');
    const far = encodeHello({ sessionId: UNKNOWN_SESSION, receivedSequence: 5 });
    far.fill(0xff, 16);
    expect(codeOf(() => decodeHello(far))).toBe('LINK_ACKNOWLEDGE_INVALID');
    expect(codeOf(() => read(FrameWriter.unnumbered(FRAME_TYPE.acknowledge, new Uint8Array(9), 1)))).toBe(
      'LINK_ACKNOWLEDGE_INVALID',
    );
    expect(decodeHello(encodeHello({ sessionId: SESSION, receivedSequence: 5 }))).toEqual({
      sessionId: SESSION,
      receivedSequence: 5,
    });
  });
});
