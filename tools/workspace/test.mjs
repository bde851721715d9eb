// Runs every package's tests in one Jest run and ends with what was skipped, why, and `N passed, N failed`.
// Arguments go to Jest: `npm test -- libs/event-bus`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'watari-test-'));
const report = join(folder, 'jest.json');

const jest = spawnSync(
  process.execPath,
  // Set-up files run outside Jest's own module resolution; the condition makes them take sources, too.
  [
    '--conditions=@watari/source',
    join(root, 'node_modules/jest/bin/jest.js'),
    '--json',
    `--outputFile=${report}`,
    // Jest leaves one processor to itself, which would be half of two; tests mostly wait for programs.
    `--maxWorkers=${Math.max(2, availableParallelism() - 1)}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);

let results;
try {
  results = JSON.parse(readFileSync(report, 'utf8'));
} catch (error) {
  console.error(`The test runner left no report (exit status ${jest.status}): ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

// A suite that could not even be loaded has no tests to count; it counts as one failure.
const brokenSuites = results.testResults.filter(
  (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
);
const skipped = results.testResults.flatMap((suite) =>
  suite.assertionResults
    .filter(({ status }) => status === 'pending' || status === 'todo')
    .map(({ ancestorTitles }) => `${relative(root, suite.name)}: ${ancestorTitles[0] ?? ''}`),
);
const failed = results.numFailedTests + brokenSuites.length;
for (const [what, count] of Object.entries(countBy(skipped))) {
  console.log(`skipped: ${what} (${count} tests)`);
}
if (skipped.length === 0) console.log('Nothing was skipped.');
console.log(
  `${results.numPassedTests} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
);
process.exit(failed > 0 || results.numPassedTests === 0 ? 1 : (jest.status ?? 1));

function countBy(names) {
  const counts = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
