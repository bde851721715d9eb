/**
 * Lets plain Node run the workspace's TypeScript without a build, for processes that specs start and kill:
 *
 *   node --conditions=@watari/source --require <this file> some-file.ts
 *
 * Types are not checked here; `tsc` does that. What was made of a file is kept, by the hash of its text: a program of
 * a thousand files would take ten seconds to start each time.
 */
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const CACHE = join(__dirname, '../../node_modules/.cache/watari-run-typescript');
/** Part of the key: other options make something else of the same text. */
const OPTIONS = {
  module: 'CommonJS',
  target: 'ES2022',
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  useDefineForClassFields: false,
  esModuleInterop: true,
  inlineSourceMap: true,
};
const VERSION = require('typescript/package.json').version;

mkdirSync(CACHE, { recursive: true });

require.extensions['.ts'] = (module, path) => {
  const text = readFileSync(path, 'utf8');
  const key = createHash('sha256')
    .update(JSON.stringify([VERSION, OPTIONS, path, text]))
    .digest('hex');
  module._compile(
    cached(join(CACHE, `${key}.js`), () => transpile(path, text)),
    path,
  );
};

function cached(file, make) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  const made = make();
  // Several processes may write it at once: each its own file, and the last name stands for the same text.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, made);
  renameSync(own, file);
  return made;
}

function transpile(path, text) {
  const ts = require('typescript');
  const { module, target, ...others } = OPTIONS;
  const compilerOptions = { ...others, module: ts.ModuleKind[module], target: ts.ScriptTarget[target] };
  return ts.transpileModule(text, { fileName: path, compilerOptions }).outputText;
}
