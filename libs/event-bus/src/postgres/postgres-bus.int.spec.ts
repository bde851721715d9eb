import { startTestServer, type TestServer } from '@watari/embedded-postgres';
import { busContract } from '../testing/bus-contract';
import type { BusUnderTest } from '../testing/bus-under-test';
import { TcpRelay } from '../testing/tcp-relay';

describe('the event bus on Postgres', () => busContract(openPostgres, { canStopBroker: true }));

async function openPostgres(): Promise<BusUnderTest> {
  const relay = await TcpRelay.listen();
  let server: TestServer = await startTestServer();
  const url = new URL(server.url);
  const follow = () => relay.to(Number(new URL(server.url).port));
  follow();
  url.port = String(relay.port);
  return {
    reach: { kind: 'postgres', databaseUrl: url.toString() },
    databaseUrl: url.toString(),
    stopBroker: () => server.stop(),
    startBroker: async () => {
      server = await server.restart();
      follow();
    },
    close: async () => {
      await relay.close();
      await server.remove();
    },
  };
}
