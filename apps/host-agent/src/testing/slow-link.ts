import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A TCP relay whose two directions can be slowed down while it runs, and which can be cut. */
export class SlowLink {
  toTargetMs = 0;
  toSourceMs = 0;
  #isBlocked = false;
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  static async open(target: { host: string; port: number }): Promise<SlowLink> {
    const server = createServer({ allowHalfOpen: true });
    const link = new SlowLink(server);
    server.on('connection', (near) => {
      if (link.#isBlocked) return void near.on('error', () => undefined).destroy();
      const far = connect({ ...target, allowHalfOpen: true });
      link.#relay(near, far, () => link.toTargetMs);
      link.#relay(far, near, () => link.toSourceMs);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return link;
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.server.address() as AddressInfo).port };
  }

  /** Ends all connections, and every new one, until `unblock`. */
  block(): void {
    this.#isBlocked = true;
    this.cut();
  }

  unblock(): void {
    this.#isBlocked = false;
  }

  /** Ends all connections at once; what was on its way is lost. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  #relay(from: Socket, to: Socket, delayMs: () => number): void {
    this.#sockets.add(from);
    // In order, however the delay changes.
    let lastMs = 0;
    const later = (work: () => void): void => {
      lastMs = Math.max(lastMs, performance.now() + delayMs());
      setTimeout(() => !to.destroyed && work(), lastMs - performance.now());
    };
    from.on('data', (chunk: Buffer) => later(() => to.write(chunk)));
    from.on('end', () => later(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      later(() => to.destroy());
    });
  }
}
