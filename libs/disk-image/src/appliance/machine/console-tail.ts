const KEPT_BYTES = 64 * 1024;
const CONTROL = /[^\t\n\x20-\x7e]+/g;

/** The end of what a guest's console said, as plain text: what comes from a guest moves no cursor. */
export class ConsoleTail {
  private kept = '';

  add(chunk: Buffer): void {
    const text = chunk.toString('latin1').replaceAll('\r', '').replace(CONTROL, '?');
    this.kept = (this.kept + text).slice(-KEPT_BYTES);
  }

  text(bytesMax = KEPT_BYTES): string {
    return this.kept.slice(-bytesMax);
  }

  /** The last lines that say something, on one line: of a panic its reason, not the list of callers below it. */
  summary(): string {
    const lines = this.kept.split('\n').map((line) => line.replace(/^\[\s*\d+\.\d+\]\s*/, '').trim());
    const told = lines.filter(
      (line) => line !== '' && !/^(\?|RIP|RSP|R\d\d|RAX|RDX|FS|CS|CR2|Call Trace|Code)\b/.test(line),
    );
    const reason = told.findLast((line) => /panic|BUG|Oops|Out of memory|corrupt/i.test(line));
    return [...(reason ? [reason] : []), ...told.slice(-3)].join(' / ').slice(-600);
  }
}
