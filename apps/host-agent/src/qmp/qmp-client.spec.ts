import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { formatTimestamp, QmpClient, type QmpEvent } from './qmp-client';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

describe('QMP client', () => {
  let folder: string;
  let server: Server;
  let answer: (command: { execute: string; id: number }, socket: Socket) => void;
  let greeting: string;
  let peer: Socket | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'watari-qmp-'));
    greeting = GREETING;
    answer = (command, socket) => socket.write(`${JSON.stringify({ return: {}, id: command.id })}\r\n`);
    server = createServer((socket) => {
      peer = socket;
      socket.on('error', () => undefined);
      socket.write(greeting);
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const command = JSON.parse(text.slice(0, end)) as { execute: string; id: number };
          text = text.slice(end + 1);
          if (command.execute === 'qmp_capabilities') socket.write(`{"return": {}, "id": ${command.id}}\n`);
          else answer(command, socket);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 'qmp'), resolve));
  });
  afterEach(async () => {
    peer?.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });

  function open(handlers: Parameters<typeof QmpClient.connect>[1] = {}, timeoutMs = 500): Promise<QmpClient> {
    return QmpClient.connect(join(folder, 'qmp'), handlers, timeoutMs);
  }

  it('matches answers to commands, whatever their order', async () => {
    const held: number[] = [];
    answer = ({ id, execute }, socket) => {
      held.push(id);
      if (execute === 'second')
        for (const one of held.reverse()) socket.write(`{"return": ${one}, "id": ${one}}\n`);
    };
    const qmp = await open();
    const [first, second] = await Promise.all([qmp.execute('first'), qmp.execute('second')]);
    expect(second).toBe((first as number) + 1);
    qmp.close();
  });

  it('tells events with their time, though they come in pieces', async () => {
    const events: QmpEvent[] = [];
    answer = ({ id }, socket) => {
      const line = `{"event": "STOP", "timestamp": {"seconds": 1700000000, "microseconds": 42}}\n{"return": {}, "id": ${id}}\n`;
      socket.write(line.slice(0, 20));
      setTimeout(() => socket.write(line.slice(20)), 20);
    };
    const qmp = await open({ onEvent: (event) => events.push(event) });
    await qmp.execute('stop');
    expect(events).toEqual([{ event: 'STOP', at: { seconds: 1_700_000_000, microseconds: 42 }, data: {} }]);
    expect(formatTimestamp(events[0]!.at)).toBe('2023-11-14T22:13:20.000042Z');
    qmp.close();
  });

  it('passes on what QEMU refuses, and goes on', async () => {
    answer = ({ id, execute }, socket) =>
      socket.write(
        execute === 'bad'
          ? `{"error": {"class": "GenericError", "desc": "no such thing"}, "id": ${id}}\n`
          : `{"return": 1, "id": ${id}}\n`,
      );
    const qmp = await open();
    await expect(qmp.execute('bad')).rejects.toMatchObject({
      code: 'QMP_REFUSED',
      qemuClass: 'GenericError',
    });
    await expect(qmp.execute('good')).resolves.toBe(1);
    qmp.close();
  });

  it('gives up a command after its time, and ignores the answer that comes later', async () => {
    answer = ({ id, execute }, socket) =>
      setTimeout(() => socket.write(`{"return": "${execute}", "id": ${id}}\n`), execute === 'slow' ? 120 : 0);
    const qmp = await open();
    await expect(qmp.execute('slow', {}, 40)).rejects.toMatchObject({ code: 'QMP_TIMEOUT' });
    await new Promise((resolve) => setTimeout(resolve, 150));
    await expect(qmp.execute('quick')).resolves.toBe('quick');
    qmp.close();
  });

  it.each([
    ['a line that never ends', 'x'.repeat(5 * 1024 * 1024)],
    ['what is no JSON', 'SSH-2.0-OpenSSH\n'],
    ['JSON that is no object', '[1, 2]\n'],
    ['an event without a time', '{"event": "STOP"}\n'],
  ])('drops a peer that sends %s, and every waiting command fails', async (_what, text) => {
    answer = (_command, socket) => socket.write(text);
    let closedCount = 0;
    const qmp = await open({ onClose: () => (closedCount += 1) });
    await expect(qmp.execute('anything', {}, 5_000)).rejects.toMatchObject({ code: 'QMP_BROKEN' });
    expect(qmp.isClosed).toBe(true);
    expect(closedCount).toBe(1);
    await expect(qmp.execute('more')).rejects.toMatchObject({ code: 'QMP_BROKEN' });
  });

  it('says when QEMU goes away', async () => {
    answer = (_command, socket) => socket.destroy();
    const qmp = await open();
    await expect(qmp.execute('quit')).rejects.toMatchObject({ code: 'QMP_CLOSED' });
  });

  it('does not wait for ever for a greeting, and says when nobody listens', async () => {
    greeting = '\n';
    await expect(open({}, 60)).rejects.toMatchObject({ code: 'QMP_TIMEOUT' });
    await expect(QmpClient.connect(join(folder, 'nobody'))).rejects.toMatchObject({
      code: 'QMP_UNREACHABLE',
    });
  });
});
