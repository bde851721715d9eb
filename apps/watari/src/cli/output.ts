import { MultiBar, type SingleBar } from 'cli-progress';

/** Where commands say things: for people, or as JSON for programs. Results go to stdout, all else to stderr. */
export interface Output {
  readonly isJson: boolean;
  /** The command's result: the value as JSON, or the text for people. */
  result(value: unknown, text: string): void;
  /** One line about what is going on; people only. */
  note(text: string): void;
  /** A bar on a terminal, lines elsewhere, nothing as JSON. */
  progress(): Progress;
}

export interface Progress {
  /** `details` are lines below the bar; on a terminal alone. */
  update(text: string, fraction?: number, details?: readonly string[]): void;
  /** Ends the bar; the text stays as a line. */
  end(text?: string): void;
}

export function createOutput(isJson: boolean): Output {
  return {
    isJson,
    result: (value, text) => {
      process.stdout.write(isJson ? `${JSON.stringify(value)}\n` : `${text}\n`);
    },
    note: (text) => {
      if (!isJson) process.stderr.write(`${text}\n`);
    },
    progress: () => (isJson ? silent : process.stderr.isTTY ? new Bar() : new Lines()),
  };
}

const silent: Progress = { update: () => undefined, end: () => undefined };
const BAR_STEPS = 1000;
const BAR_FORMAT = '  {bar} {percentage}%  {text}';
const BAR_COLUMNS = 35;
const DETAIL_FORMAT = '    {text}';
const DETAIL_COLUMNS = 5;

/** One bar, and a line below it for each detail. */
class Bar implements Progress {
  private bars: MultiBar | undefined;
  private readonly lines: SingleBar[] = [];

  update(text: string, fraction = 0, details: readonly string[] = []): void {
    this.bars ??= new MultiBar({
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      stream: process.stderr,
      etaBuffer: 0,
      format: BAR_FORMAT,
    });
    const texts = [text, ...details].map((line, index) =>
      fit(line, index === 0 ? BAR_COLUMNS : DETAIL_COLUMNS),
    );
    for (const surplus of this.lines.splice(texts.length)) this.bars.remove(surplus);
    for (const [index, shown] of texts.entries()) {
      const format = index === 0 ? BAR_FORMAT : DETAIL_FORMAT;
      this.lines[index] ??= this.bars.create(BAR_STEPS, 0, { text: '' }, { format });
      const steps = index === 0 ? Math.round(Math.min(Math.max(fraction, 0), 1) * BAR_STEPS) : 0;
      this.lines[index].update(steps, { text: shown });
    }
  }

  end(text?: string): void {
    this.bars?.stop();
    this.bars = undefined;
    this.lines.length = 0;
    if (text) process.stderr.write(`${text}\n`);
  }
}

/** A line that wraps would be drawn over and over. */
function fit(text: string, usedColumns: number): string {
  const room = Math.max((process.stderr.columns || 120) - usedColumns, 20);
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

/** Log files get a line when the words before the numbers change, and at most one in five seconds else. */
class Lines implements Progress {
  private last = '';
  private lastAt = 0;

  update(text: string): void {
    const gist = text.replace(/\d+/g, '#');
    const now = performance.now();
    if (gist === this.last && now - this.lastAt < 5000) return;
    this.last = gist;
    this.lastAt = now;
    process.stderr.write(`  ${text}\n`);
  }

  end(text?: string): void {
    if (text) process.stderr.write(`${text}\n`);
  }
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
}

export function bytesInWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${value >= 100 || power === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[power]}`;
}
