// Compiles the workspace when a source is newer than the last compile, so that a command after a change runs it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const stamp = join(root, 'node_modules/.cache/watari/built');
const targets = ['apps/watari', 'apps/host-agent', 'tools/kafka'].map((path) =>
  join(root, path, 'tsconfig.lib.json'),
);

export function ensureBuilt() {
  const builtAt = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  const isBuilt = existsSync(join(root, 'apps/watari/dist/main.js'));
  if (isBuilt && newestSource() < builtAt) return;
  if (process.stderr.isTTY || !isBuilt) console.error('Building Watari …');
  const startedAt = new Date();
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(tsc)) {
    console.error('The packages are not installed. Run "npm ci" first.');
    process.exit(1);
  }
  const { status } = spawnSync(process.execPath, [tsc, '--build', ...targets], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) process.exit(1);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, '');
  // What is saved while it is compiled counts as newer.
  utimesSync(stamp, startedAt, startedAt);
}

function newestSource() {
  let newest = 0;
  for (const top of ['apps', 'libs', 'tools']) visit(join(root, top));
  return newest;

  function visit(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!['dist', 'node_modules', 'out-tsc', 'coverage'].includes(entry.name)) visit(path);
      } else if (/\.ts$|^tsconfig.*\.json$/.test(entry.name) && !entry.name.endsWith('.spec.ts')) {
        newest = Math.max(newest, statSync(path).mtimeMs);
      }
    }
  }
}
