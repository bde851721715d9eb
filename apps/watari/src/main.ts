import { runCli } from './cli/program';

const interrupted = new AbortController();
/** The first asks for a clean stop; the second, from somebody who does not want to wait, ends the process. */
let signals = 0;
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    signals += 1;
    if (signals > 1) process.exit(130);
    interrupted.abort(new Error('Interrupted.'));
  });
}

void runCli(process.argv, interrupted.signal).then((exitCode) => {
  process.exitCode = exitCode;
  // Whatever still holds the process open must not keep a script waiting.
  setTimeout(() => process.exit(exitCode), 2000).unref();
});
