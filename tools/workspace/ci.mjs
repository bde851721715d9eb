// The checks of a clean checkout, in order; each is one passed or failed, the tests count one by one.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = (name) => `${root}node_modules/.bin/${name}`;
let passed = 0;
let failed = 0;

check('project references match the imports', bin('nx'), ['sync:check']);
check('format', bin('prettier'), ['--check', '.', '--log-level', 'warn']);
check('build and types', bin('tsc'), ['--build']);
check('schemas match the declarations', process.execPath, [`${root}tools/contracts/generate.mjs`, '--check']);
check('lint and module boundaries', bin('eslint'), ['.', '--max-warnings', '0']);
runTests();
check('the demonstration, end to end', process.execPath, [`${root}tools/workspace/demo.mjs`], {
  isShown: true,
});

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

function check(title, command, args, { isShown = false } = {}) {
  const startedAt = Date.now();
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, NX_DAEMON: 'false' },
  });
  const ok = result.status === 0;
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${title} (${((Date.now() - startedAt) / 1000).toFixed(0)} s)`);
  if (!ok || isShown)
    console.log(`${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`.slice(-20_000));
}

function runTests() {
  const result = spawnSync(process.execPath, [`${root}tools/workspace/test.mjs`], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const counts = /(\d+) passed, (\d+) failed/.exec(result.stdout ?? '');
  // The counts line itself is printed once, at the very end, with the other checks in it.
  console.log((result.stdout ?? '').replace(/^\d+ passed, \d+ failed.*$/m, '').trim());
  passed += Number(counts?.[1] ?? 0);
  failed += counts ? Number(counts[2]) : 1;
}
