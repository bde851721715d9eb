import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';

import { CertificateAuthority, createHostAgentClient, type TlsMaterial } from '@watari/host-agent-client';
import {
  crc32c,
  FRAME_HEADER_BYTES,
  FRAME_TYPE,
  frameOf,
  FrameWriter,
  LinkSession,
  RecordPacker,
  StreamEncoder,
} from '@watari/migration-core';

import { MOVE_PROTOCOL_VERSION } from './moves/messages';
import { CPU_MODEL } from './qemu/command-line';
import { TestAgents, type TestAgent } from './testing/test-agents';

jest.setTimeout(120_000);

describe('a host agent among strangers', () => {
  let agents: TestAgents;
  let b: TestAgent;
  let peer: TlsMaterial;
  let stranger: TlsMaterial;
  const sockets: TLSSocket[] = [];

  beforeAll(async () => {
    agents = await TestAgents.open();
    b = await agents.start('b');
    peer = await agents.authority.issue({ role: 'agent', id: 'a' });
    const others = await CertificateAuthority.open(join(agents.folder, 'others'));
    stranger = await others.issue({ role: 'agent', id: 'a' });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    // Whatever was tried: it answers, and holds no guest.
    await expect(b.client.health()).resolves.toMatchObject({ guests: 0 });
  });
  afterAll(() => agents.close());

  async function dial(tls: Partial<TlsMaterial>, maxVersion?: 'TLSv1.2'): Promise<TLSSocket> {
    const socket = connect({
      ...b.dataAddress,
      cert: tls.certificate,
      key: tls.key,
      rejectUnauthorized: false,
      ...(maxVersion && { maxVersion }),
    });
    sockets.push(socket);
    await once(socket, 'secureConnect');
    // What the server's refusal looks like from here; the tests look at the end of the connection.
    socket.on('error', () => undefined);
    return socket;
  }

  /** A connection that has begun as links do. */
  async function dialLink(sessionId = randomBytes(16).toString('hex'), epoch = 1): Promise<TLSSocket> {
    const socket = await dial(peer);
    socket.write(new LinkSession(() => undefined, { sessionId }).hello(epoch));
    return socket;
  }

  /** Resolves once the agent has closed the connection; with what it sent before. */
  async function closed(socket: TLSSocket): Promise<string> {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    return Buffer.concat(chunks).toString('latin1');
  }

  function announce(change: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      kind: 'announce',
      protocolVersion: MOVE_PROTOCOL_VERSION,
      moveId: 'hostile',
      spec: { guestId: 'hostile', memoryMiB: 32, vcpus: 1, machine: 'pc', disks: [], nics: [] },
      shape: { machineType: 'pc-i440fx-9.0', cpuModel: CPU_MODEL, accelerator: 'tcg' },
      qemuVersion: '10.0.2',
      sourceApiUrl: 'https://127.0.0.1:1',
      pageCopy: { codecs: [0], mirrorPagesMax: 0 },
      histories: [],
      ...change,
    };
  }

  function control(writer: FrameWriter, message: unknown): Uint8Array {
    return writer.frame(FRAME_TYPE.control, Buffer.from(JSON.stringify(message)));
  }

  it('lets nobody in without a certificate of its authority, on either port', async () => {
    for (const tls of [{} as Partial<TlsMaterial>, stranger]) {
      // The client's side of TLS 1.3 is done before the server has looked at its certificate.
      const socket = await dial(tls);
      expect(await closed(socket)).toBe('');
      const call = request(`${b.apiUrl}/health`, {
        cert: tls.certificate,
        key: tls.key,
        rejectUnauthorized: false,
      });
      call.end();
      await expect(once(call, 'response')).rejects.toThrow();
    }
    await expect(dial(peer, 'TLSv1.2')).rejects.toThrow();
  });

  it('lets only agents in on the data address, and agents nearly nowhere on the API', async () => {
    expect(await closed(await dial(agents.tls))).toBe('');
    const client = createHostAgentClient({ apiUrl: b.apiUrl, tls: peer });
    await expect(client.listGuests()).rejects.toMatchObject({ code: 'FORBIDDEN', status: 403 });
    await expect(client.deleteGuest('x')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(client.moveOwnership('x')).rejects.toMatchObject({ code: 'MOVE_UNKNOWN', status: 404 });
    client.close();
  });

  it('refuses plain text', async () => {
    const socket = connectPlain(b.dataAddress.port, b.dataAddress.host);
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(socket.resume(), 'close');
  });

  it('drops a peer that sends garbage, or a frame that claims more than frames may', async () => {
    const garbage = await dial(peer);
    garbage.write(Buffer.alloc(4_096, 0xa5));
    expect(await closed(garbage)).not.toContain('ready');

    const huge = await dialLink();
    const frame = Buffer.from(new FrameWriter(1).frame(FRAME_TYPE.data, new Uint8Array(8)));
    frame.writeUInt32BE(0xffff_fff0, 36);
    frame.writeUInt32BE(crc32c(frame.subarray(0, 44)), 44);
    huge.write(frame.subarray(0, FRAME_HEADER_BYTES));
    expect(await closed(huge)).toContain('FRAME_TOO_LONG');
  });

  it.each([
    [
      'pages before a guest was announced',
      (writer: FrameWriter) => writer.frame(FRAME_TYPE.data, new Uint8Array(8)),
      'LINK_MESSAGE_UNEXPECTED',
    ],
    [
      'a commit of nothing',
      (writer: FrameWriter) => control(writer, { kind: 'commit', console: '' }),
      'LINK_MESSAGE_UNEXPECTED',
    ],
    [
      'a message of no known kind',
      (writer: FrameWriter) => control(writer, { kind: 'obey' }),
      'LINK_MESSAGE_INVALID',
    ],
    [
      'a control frame that is no JSON',
      (writer: FrameWriter) => writer.frame(FRAME_TYPE.control, Buffer.from('{')),
      'LINK_MESSAGE_INVALID',
    ],
    [
      'a guest id that is a path',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({
            spec: { guestId: '../../etc', memoryMiB: 32, vcpus: 1, machine: 'pc', disks: [], nics: [] },
          }),
        ),
      'LINK_MESSAGE_INVALID',
    ],
    [
      'a machine type with an option in it',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({ shape: { machineType: 'pc,kernel=/x', cpuModel: CPU_MODEL, accelerator: 'tcg' } }),
        ),
      'LINK_MESSAGE_INVALID',
    ],
    [
      'a machine type that this QEMU lacks',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({ shape: { machineType: 'pc-i440fx-99.0', cpuModel: CPU_MODEL, accelerator: 'tcg' } }),
        ),
      'MACHINE_TYPE_UNSUPPORTED',
    ],
    [
      'a guest of another accelerator',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({ shape: { machineType: 'pc-i440fx-9.0', cpuModel: CPU_MODEL, accelerator: 'kvm' } }),
        ),
      'ACCELERATOR_DIFFERS',
    ],
    [
      'a protocol of the future',
      (writer: FrameWriter) => control(writer, announce({ protocolVersion: MOVE_PROTOCOL_VERSION + 1 })),
      'MOVE_PROTOCOL_UNKNOWN',
    ],
    [
      'a protocol of the future with words that are not known yet',
      (writer: FrameWriter) =>
        control(writer, {
          kind: 'announce',
          protocolVersion: MOVE_PROTOCOL_VERSION + 1,
          guest: { of: 'another form' },
        }),
      'MOVE_PROTOCOL_UNKNOWN',
    ],
    [
      'a protocol of the past with words that are no longer known',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({ protocolVersion: 3, pageCopy: { codecs: [0], mirrorPagesMax: 0, history: null } }),
        ),
      'MOVE_PROTOCOL_UNKNOWN',
    ],
    [
      'the beginning of a stream that was not announced',
      (writer: FrameWriter) => control(writer, { kind: 'begin', chunks: null }),
      'LINK_MESSAGE_UNEXPECTED',
    ],
    [
      'a disk that is not here',
      (writer: FrameWriter) =>
        control(
          writer,
          announce({
            spec: {
              guestId: 'hostile',
              memoryMiB: 32,
              vcpus: 1,
              machine: 'pc',
              disks: [{ path: '/no/such.raw', format: 'raw', bus: 'ahci' }],
              nics: [],
            },
          }),
        ),
      'DISK_MISSING',
    ],
  ])('refuses %s, and says so', async (_what, frame, code) => {
    const socket = await dialLink();
    socket.write(frame(new FrameWriter(1)));
    expect(await closed(socket)).toContain(code);
  });

  it('drops a connection that does not begin as links do, without a word', async () => {
    for (const bytes of [
      control(new FrameWriter(1), announce()),
      new FrameWriter(1).frame(FRAME_TYPE.hello, new Uint8Array(24)),
      FrameWriter.unnumbered(FRAME_TYPE.hello, new Uint8Array(7), 1),
    ]) {
      const socket = await dial(peer);
      socket.write(bytes);
      expect(await closed(socket)).toBe('');
    }
  });

  it('knows no link that it did not see begin, and takes no connection of it that is older than the last', async () => {
    const sessionId = randomBytes(16).toString('hex');
    const unknown = Buffer.alloc(16).toString('latin1');
    expect(await closed(await dialLink(sessionId, 2))).toContain(unknown);
    const first = await dialLink(sessionId, 1);
    await once(first, 'data');
    expect(await closed(await dialLink(sessionId, 1))).toContain(unknown);
    const second = await dialLink(sessionId, 5);
    await once(second, 'data');
    expect(await closed(await dialLink(sessionId, 4))).toContain(unknown);
    // And nobody else's connection.
    const other = await agents.authority.issue({ role: 'agent', id: 'c' });
    const stolen = await dial(other);
    stolen.write(new LinkSession(() => undefined, { sessionId }).hello(6));
    expect(await closed(stolen)).toContain(unknown);
  });

  it.each([
    [
      'far ahead',
      'LINK_WINDOW',
      (writer: FrameWriter) => {
        for (let frame = 0; frame < 70_000; frame += 1) writer.frame(FRAME_TYPE.data, new Uint8Array(0));
        return writer.frame(FRAME_TYPE.data, new Uint8Array(8));
      },
    ],
    [
      'of another connection',
      'FRAME_EPOCH',
      () => new FrameWriter(9).frame(FRAME_TYPE.data, new Uint8Array(8)),
    ],
    [
      'damaged on its way',
      'FRAME_CHECKSUM',
      (writer: FrameWriter) => {
        const frame = writer.frame(FRAME_TYPE.data, new Uint8Array(8));
        frame[frame.length - 1] = 1;
        return frame;
      },
    ],
    [
      'of which the beginning is missing',
      'FRAME_MAGIC',
      (writer: FrameWriter) => writer.frame(FRAME_TYPE.data, new Uint8Array(8)).subarray(1),
    ],
    [
      'that acknowledges what was never sent',
      'LINK_ACKNOWLEDGE_INVALID',
      () => {
        const payload = Buffer.alloc(8);
        payload.writeBigUInt64BE(99n);
        return FrameWriter.unnumbered(FRAME_TYPE.acknowledge, payload, 1);
      },
    ],
  ])('refuses a frame %s (%s)', async (_what, code, frame) => {
    const socket = await dialLink();
    socket.write(frame(new FrameWriter(1)));
    expect(await closed(socket)).toContain(code);
  });

  it('discards a guest whose stream is no migration stream', async () => {
    const socket = await dialLink();
    const writer = new FrameWriter(1);
    const health = await b.client.health();
    const machineType = `pc-i440fx-${health.qemuVersion.split('.').slice(0, 2).join('.')}`;
    socket.write(
      control(writer, announce({ shape: { machineType, cpuModel: CPU_MODEL, accelerator: 'tcg' } })),
    );
    const answers = closed(socket);
    await new Promise<void>((resolve) =>
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('"ready"')) resolve();
      }),
    );
    expect(await b.client.getGuest('hostile')).toMatchObject({ state: 'incoming' });
    socket.write(control(writer, { kind: 'begin', chunks: null }));
    // Frames that hold, with a stream in them that does not.
    const failed = jest.fn();
    const packer = new RecordPacker((content) => socket.write(frameOf(writer, content)), failed);
    const encoder = new StreamEncoder((record) => packer.push(record));
    encoder.push(Buffer.alloc(64, 0x5a));
    encoder.flush();
    await packer.drained();
    expect(failed).not.toHaveBeenCalled();
    expect(await answers).toContain('TARGET_QEMU_FAILED');
  });
});
