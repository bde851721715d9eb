import { type Server, type Socket, connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * One address for a service whose host changes. Guests of this demonstration have user-mode networking, so a port
 * of the host leads to them; a network with a bridge needs nothing like this, and keeps open connections alive.
 */
export class FrontRelay {
  private readonly server: Server;
  private readonly open = new Set<Socket>();
  private backendPort: number | undefined;

  private constructor() {
    this.server = createServer((client) => this.pass(client));
  }

  static async listen(): Promise<FrontRelay> {
    const relay = new FrontRelay();
    await new Promise<void>((resolve, reject) => {
      relay.server.once('error', reject);
      relay.server.listen(0, '127.0.0.1', resolve);
    });
    return relay;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** New connections go to this port of the host; what is open to the old one is of no use any more. */
  pointTo(backendPort: number): void {
    this.backendPort = backendPort;
    for (const socket of this.open) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private pass(client: Socket): void {
    if (this.backendPort === undefined) {
      client.destroy();
      return;
    }
    const backend = connect(this.backendPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      this.open.add(socket);
      socket.setNoDelay(true);
      // A broken connection is the client's to notice: its request fails, and it asks again.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.open.delete(socket);
        other.destroy();
      });
    }
    client.pipe(backend);
    backend.pipe(client);
  }
}
