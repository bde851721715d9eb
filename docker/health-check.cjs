// Run by the container's HEALTHCHECK: ends with 0 when the service does its work, else says why not and ends with 1.
const { connect } = require('node:net');

const TIMEOUT_MS = 5000;
const { PORT = '8080', WATARI_AGENT_API_PORT: agentPort, WATARI_AGENT_LISTEN: agentHost } = process.env;

const check = agentPort ? agentListens(Number(agentPort), agentHost) : serviceIsReady(PORT);
check.then(
  () => process.exit(0),
  (error) => {
    console.error(String(error.cause ?? error));
    process.exit(1);
  },
);

async function serviceIsReady(port) {
  const response = await fetch(`http://127.0.0.1:${port}/health/ready`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`${response.status} ${(await response.text()).slice(0, 500)}`);
}

/** The agent answers nobody without a client certificate, so that it listens is all that can be asked. */
function agentListens(port, host) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: !host || host === '0.0.0.0' ? '127.0.0.1' : host });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
