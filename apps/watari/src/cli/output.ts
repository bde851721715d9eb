import { SingleBar } from 'cli-progress';

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
  update(text: string, fraction?: number): void;
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

class Bar implements Progress {
  private readonly bar = new SingleBar({
    format: '  {bar} {percentage}%  {text}',
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
    etaBuffer: 0,
  });
  private isShown = false;

  update(text: string, fraction = 0): void {
    const shown = text.slice(0, 90);
    if (!this.isShown) this.bar.start(BAR_STEPS, 0, { text: shown });
    this.isShown = true;
    this.bar.update(Math.round(Math.min(Math.max(fraction, 0), 1) * BAR_STEPS), { text: shown });
  }

  end(text?: string): void {
    if (this.isShown) this.bar.stop();
    this.isShown = false;
    if (text) process.stderr.write(`${text}\n`);
  }
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
