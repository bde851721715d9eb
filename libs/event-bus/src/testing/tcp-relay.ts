import { type Socket, connect, createServer } from 'node:net';

/** Listens on a port that stays, and passes each connection on to a server whose port may change. */
export class TcpRelay {
  private readonly sockets = new Set<Socket>();
  private target = 0;

  private constructor(
    private readonly server: ReturnType<typeof createServer>,
    readonly port: number,
  ) {}

  static async listen(): Promise<TcpRelay> {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const address = server.address();
    const relay = new TcpRelay(server, typeof address === 'object' ? (address?.port ?? 0) : 0);
    server.on('connection', (socket) => relay.pass(socket));
    return relay;
  }

  to(port: number): void {
    this.target = port;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((closed) => this.server.close(closed));
  }

  private pass(from: Socket): void {
    const to = connect(this.target, '127.0.0.1');
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.pipe(other);
      // Which end broke and how is for the two ends to find out: each loses its connection.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
