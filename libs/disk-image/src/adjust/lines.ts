/** Longer lines are no settings, and would cost patterns too much. */
export const LINE_LETTERS_MAX = 4096;

/** Every line as `change` gives it back; those that are too long stay. */
export function mapLines(text: string, change: (line: string) => string): string {
  return text
    .split('\n')
    .map((line) => (line.length > LINE_LETTERS_MAX ? line : change(line)))
    .join('\n');
}

/** The lines that can be settings. */
export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.length <= LINE_LETTERS_MAX);
}

export function hasLine(text: string, pattern: RegExp): boolean {
  return linesOf(text).some((line) => pattern.test(line));
}
