/** One instruction, with its continuation lines joined and its flags (`--from=build`) apart. */
export interface Instruction {
  readonly line: number;
  readonly keyword: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly rest: string;
}

export interface Stage {
  /** Empty for a last stage without a name. */
  readonly name: string;
  readonly image: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  /** Values of the ARGs above the first FROM; undefined where the builder must be given one. */
  readonly globalArgs: Readonly<Record<string, string | undefined>>;
  readonly stages: readonly Stage[];
}

const KEYWORDS = new Set(
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(
    ' ',
  ),
);

/** Throws with the line on an unknown instruction, one outside a stage, or a FROM that cannot be read. */
export function parseDockerfile(text: string): Dockerfile {
  const globalArgs: Record<string, string | undefined> = {};
  const stages: { name: string; image: string; instructions: Instruction[] }[] = [];
  for (const instruction of instructionsOf(text)) {
    const { line, keyword, rest } = instruction;
    if (keyword === 'FROM') {
      const from = /^(\S+)(?:\s+AS\s+([a-z0-9._-]+))?$/i.exec(rest);
      if (!from?.[1]) throw new Error(`Line ${line}: write FROM <image> [AS <name>], not "FROM ${rest}".`);
      stages.push({ name: from[2] ?? '', image: from[1], instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage) stage.instructions.push(instruction);
    else if (keyword === 'ARG') {
      const [name = '', value] = rest.split('=', 2);
      globalArgs[name] = value;
    } else throw new Error(`Line ${line}: ${keyword} stands before the first FROM.`);
  }
  return { globalArgs, stages };
}

function* instructionsOf(text: string): Generator<Instruction> {
  let joined = '';
  let startedAt = 0;
  for (const [index, raw] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(raw)) continue;
    if (joined === '') startedAt = index + 1;
    if (raw.endsWith('\\')) {
      joined += `${raw.slice(0, -1)}\n`;
      continue;
    }
    yield toInstruction(joined + raw, startedAt);
    joined = '';
  }
  if (joined !== '') throw new Error(`Line ${startedAt}: the instruction ends with a "\\".`);
}

function toInstruction(text: string, line: number): Instruction {
  const [, keyword = '', body = ''] = /^\s*([A-Za-z]+)\s*([\s\S]*)$/.exec(text) ?? [];
  if (!KEYWORDS.has(keyword)) throw new Error(`Line ${line}: "${keyword || text}" is no instruction.`);
  const flags: Record<string, string> = {};
  let rest = body.trim();
  for (;;) {
    const flag = /^--([a-z-]+)=(\S+)\s+/.exec(rest);
    if (!flag?.[1]) return { line, keyword, flags, rest };
    flags[flag[1]] = flag[2] ?? '';
    rest = rest.slice(flag[0].length);
  }
}
