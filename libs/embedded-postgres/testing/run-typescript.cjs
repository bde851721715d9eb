/**
 * Lets plain Node run the workspace's TypeScript without a build, for processes that a spec kills:
 *
 *   node --conditions=@watari/source --require <this file> some-file.ts
 *
 * Types are not checked here; `tsc` does that.
 */
const { readFileSync } = require('node:fs');
const ts = require('typescript');

require.extensions['.ts'] = (module, path) => {
  const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), {
    fileName: path,
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: false,
      esModuleInterop: true,
      inlineSourceMap: true,
    },
  });
  module._compile(outputText, path);
};
