// Writes JSON Schema and AsyncAPI of every contracts project from its declarations.
//   npm run schema               write what changed; refuses to touch a released version
//   npm run schema -- --release  the same, and mark every version as released
//   npm run schema:check         change nothing; fail when the committed files differ from the declarations
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const checkOnly = process.argv.includes('--check');
const releasing = process.argv.includes('--release');
const releasedPath = join(root, 'libs/contracts/released.json');
const released = existsSync(releasedPath) ? JSON.parse(readFileSync(releasedPath, 'utf8')) : {};
const problems = [];

const { asyncApiOf, jsonSchemaOf } = load('base');
for (const service of readdirSync(join(root, 'libs/contracts')).sort()) {
  const folder = join(root, 'libs/contracts', service);
  if (service === 'base' || !existsSync(join(folder, 'package.json'))) continue;
  const contracts = contractsOf(load(service), service);
  mkdirSync(join(folder, 'schema'), { recursive: true });
  const current = new Set();
  for (const contract of contracts) {
    const name = `${contract.type}.v${contract.version}.json`;
    current.add(name);
    const text = `${JSON.stringify(jsonSchemaOf(contract), null, 2)}\n`;
    const digest = createHash('sha256').update(text).digest('hex');
    if (released[name] && released[name] !== digest) {
      problems.push(`${name} is released and its declaration changed: raise the version and add an upcast.`);
      continue;
    }
    write(join(folder, 'schema', name), text);
    if (releasing) released[name] = digest;
  }
  for (const name of readdirSync(join(folder, 'schema'))) {
    const text = readFileSync(join(folder, 'schema', name), 'utf8');
    const isReleased = released[name] !== undefined;
    if (isReleased && released[name] !== createHash('sha256').update(text).digest('hex'))
      problems.push(`${name} is released; its file was changed.`);
    if (!isReleased && !current.has(name))
      problems.push(`${relative(root, join(folder, 'schema', name))} belongs to no declared event.`);
  }
  write(
    join(folder, 'asyncapi.yaml'),
    stringify(asyncApiOf(service, contracts), { aliasDuplicateObjects: false, lineWidth: 0 }),
  );
}
for (const name of Object.keys(released)) {
  const kept = readdirSync(join(root, 'libs/contracts')).some((service) =>
    existsSync(join(root, 'libs/contracts', service, 'schema', name)),
  );
  if (!kept) problems.push(`${name} is released; its file is gone.`);
}
if (releasing && problems.length === 0)
  write(releasedPath, `${JSON.stringify(released, Object.keys(released).sort(), 2)}\n`);

for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? 'Schemas match the declarations.' : `${problems.length} problems.`);
process.exit(problems.length === 0 ? 0 : 1);

function load(service) {
  const built = join(root, 'libs/contracts', service, 'dist/index.js');
  if (!existsSync(built)) {
    console.error('Build first: npx tsc --build');
    process.exit(2);
  }
  return require(built);
}

function contractsOf(module, service) {
  const lists = Object.entries(module).filter(
    ([name, value]) => name.endsWith('Contracts') && Array.isArray(value),
  );
  if (lists.length !== 1) throw new Error(`libs/contracts/${service} must export one list named *Contracts.`);
  return lists[0][1];
}

function write(path, text) {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  if (before === text) return;
  if (checkOnly) problems.push(`${relative(root, path)} differs from the declarations: npm run schema`);
  else writeFileSync(path, text);
}
