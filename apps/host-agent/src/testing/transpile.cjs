/* Lets a plain Node process run the sources of the workspace: node --conditions=@watari/source -r transpile.cjs FILE.ts */
const { readFileSync } = require('node:fs');
const typescript = require('typescript');

require.extensions['.ts'] = (module, path) => {
  const { outputText } = typescript.transpileModule(readFileSync(path, 'utf8'), {
    fileName: path,
    compilerOptions: {
      module: typescript.ModuleKind.CommonJS,
      target: typescript.ScriptTarget.ES2022,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: false,
      importHelpers: true,
    },
  });
  module._compile(outputText, path);
};
