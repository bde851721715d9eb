import { Socket } from 'node:net';

/** As much as Linux hands over of a unix socket at once, with its default buffers. */
const BUFFER_BYTES = 256 * 1024;

/**
 * The same connection, just accepted, read into one buffer again and again: `onBytes` must be done with it when it
 * returns. Node reads each piece into a buffer of its own otherwise, and at the rate of a migration collecting those is
 * a fifth of all work.
 *
 * Node offers this to sockets that connect (`onread` in `net.createConnection`), and to those that it accepts by no
 * public way: hence the handle. Without one the connection is read as usual.
 */
export function readIntoOneBuffer(accepted: Socket, onBytes: (bytes: Uint8Array) => void): Socket {
  const withHandle = accepted as unknown as { _handle: unknown };
  const handle = withHandle._handle;
  if (!handle) return accepted.on('data', onBytes);
  // From now on it is the other socket's to read and to close.
  withHandle._handle = null;
  const options = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES),
      callback: (length: number, buffer: Uint8Array): boolean => {
        onBytes(buffer.subarray(0, length));
        return true;
      },
    },
  };
  return new Socket(options as ConstructorParameters<typeof Socket>[0]).resume();
}
