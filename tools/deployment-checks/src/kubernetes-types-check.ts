import ts from 'typescript';
import type { Manifest } from './repository';
import { repository } from './repository';

/** Where `kubernetes-types`, generated from Kubernetes' own OpenAPI document, declares the kinds we use. */
const MODULES: Readonly<Record<string, string>> = {
  v1: 'core/v1',
  'apps/v1': 'apps/v1',
  'policy/v1': 'policy/v1',
  'networking.k8s.io/v1': 'networking/v1',
};

/**
 * What the type of its kind says against each manifest: wrong types, missing fields, fields that do not exist.
 * Written out as object literals, because the compiler looks for unknown fields in those alone, at every depth;
 * Kubernetes' JSON schemas would let them pass. `partial` is for patches, which may leave anything out.
 */
export function mistakesInManifests(manifests: readonly Manifest[]): string[] {
  const unknown = manifests.filter(({ apiVersion }) => !MODULES[apiVersion]);
  if (unknown.length > 0) {
    return unknown.map(
      ({ apiVersion, kind }) => `${apiVersion} ${kind}: no types are known for this version`,
    );
  }
  const source = manifests
    .map((manifest, index) => {
      const { file: _file, ...fields } = manifest;
      const type = `import('kubernetes-types/${MODULES[manifest.apiVersion]}').${manifest.kind}`;
      return `export const manifest${index}: ${type} = ${JSON.stringify(fields)};`;
    })
    .join('\n');
  return diagnose(source).map(({ line, message }) => {
    const { kind, metadata } = manifests[line] ?? { kind: '?', metadata: { name: '?' } };
    return `${kind} ${metadata.name}: ${message}`;
  });
}

function diagnose(source: string): { line: number; message: string }[] {
  const fileName = repository.path('tools/deployment-checks/src/manifests.generated.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node20,
    moduleResolution: ts.ModuleResolutionKind.Node16,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === fileName || fileExists.call(host, path);
  host.getSourceFile = (path, ...rest) =>
    path === fileName
      ? ts.createSourceFile(path, source, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, path, ...rest);
  const program = ts.createProgram([fileName], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => ({
    line: file?.fileName === fileName ? file.getLineAndCharacterOfPosition(start).line : -1,
    message: ts.flattenDiagnosticMessageText(messageText, ' '),
  }));
}
