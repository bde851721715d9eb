import { LINE_LETTERS_MAX } from '../lines';

interface Setting {
  readonly line: number;
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/**
 * A file of `[Section]` and `Key=Value`, as systemd and NetworkManager write them. Lines that are not changed stay as
 * they are, comments and blanks too; those that are too long are no settings.
 */
export class IniText {
  private lines: readonly string[];
  private settings: readonly Setting[];

  constructor(text: string) {
    this.lines = text.split('\n');
    this.settings = parse(this.lines);
  }

  /** The last one, which is the one that counts. */
  get(section: string, key: string): string | undefined {
    return this.values(section, key).at(-1);
  }

  values(section: string, key: string): string[] {
    return this.all(section, key).map(({ value }) => value);
  }

  /** Puts it in place of the last one, and takes others of that key away. */
  set(section: string, key: string, value: string): void {
    const found = this.all(section, key);
    const last = found.at(-1);
    const others = new Set(found.slice(0, -1).map(({ line }) => line));
    const line = `${key}=${value}`;
    if (last) {
      const changed = this.lines.map((before, index) => (index === last.line ? line : before));
      this.replace(changed.filter((_line, index) => !others.has(index)));
      return;
    }
    const at = this.lines.findIndex((text) => sectionOf(text) === section) + 1;
    if (at > 0) this.replace([...this.lines.slice(0, at), line, ...this.lines.slice(at)]);
    else this.replace([...withoutLastBlank(this.lines), '', `[${section}]`, line, '']);
  }

  remove(section: string, key: string): void {
    const gone = new Set(this.all(section, key).map(({ line }) => line));
    if (gone.size > 0) this.replace(this.lines.filter((_line, index) => !gone.has(index)));
  }

  toString(): string {
    return this.lines.join('\n');
  }

  private all(section: string, key: string): Setting[] {
    return this.settings.filter((setting) => setting.section === section && setting.key === key);
  }

  private replace(lines: readonly string[]): void {
    this.lines = lines;
    this.settings = parse(lines);
  }
}

function parse(lines: readonly string[]): Setting[] {
  let section = '';
  return lines.flatMap((text, line) => {
    section = sectionOf(text) ?? section;
    const equals = text.indexOf('=');
    if (equals < 0 || text.length > LINE_LETTERS_MAX) return [];
    const key = text.slice(0, equals).trim();
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(key)) return [];
    return [{ line, section, key, value: text.slice(equals + 1).trim() }];
  });
}

function sectionOf(line: string): string | undefined {
  if (line.length > LINE_LETTERS_MAX) return undefined;
  const text = line.trim();
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : undefined;
}

function withoutLastBlank(lines: readonly string[]): readonly string[] {
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}
