import { type Socket, connect } from 'node:net';
import { type TLSSocket, connect as connectTls } from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

const KEEP_ALIVE_MS = 30_000;

/**
 * kafkajs may give up one connection many times while it is still being made, each time with a listener of its
 * own; Node would warn of a leak that there is not. They end with the attempt.
 */
export const kafkaSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket: Socket | TLSSocket = ssl
    ? connectTls({ host, port, servername: host, ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  socket.setMaxListeners(0);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
};
