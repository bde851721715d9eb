import { linesOf } from '../lines';

/**
 * `KEY=value` lines of a shell file of settings (ifcfg, sysconfig). Nothing in them is expanded: a value that a shell
 * would have to work out counts as not known.
 */
export function readVariable(text: string, key: string): string | undefined {
  const values = linesOf(text).map((line) => valueOn(line, key));
  return values.filter((value) => value !== undefined).at(-1);
}

/** The text with every line of `key` replaced; where none is there, it is added at the end. */
export function setVariable(text: string, key: string, value: string): string {
  const line = `${key}=${value}`;
  let isSet = false;
  const lines = text.split('\n').flatMap((before) => {
    if (!isOf(before, key)) return [before];
    if (isSet) return [];
    isSet = true;
    return [line];
  });
  if (isSet) return lines.join('\n');
  const head = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${head}${line}\n`;
}

export function removeVariable(text: string, key: string): string {
  const lines = text.split('\n');
  return lines.filter((line) => !isOf(line, key)).join('\n');
}

function isOf(line: string, key: string): boolean {
  return line
    .trimStart()
    .replace(/^export\s+/, '')
    .startsWith(`${key}=`);
}

function valueOn(line: string, key: string): string | undefined {
  if (!isOf(line, key)) return undefined;
  const raw = line.slice(line.indexOf('=') + 1).trim();
  const quoted = /^'([^']*)'(?:\s+#.*)?$/.exec(raw) ?? /^"([^"`$\\]*)"(?:\s+#.*)?$/.exec(raw);
  if (quoted) return quoted[1] ?? '';
  const bare = /^([^\s'"`$\\;&|<>()]*)(?:\s+#.*)?$/.exec(raw);
  return bare?.[1];
}
