export interface LineChange {
  /** Null: the line was added. */
  readonly before: string | null;
  /** Null: the line was removed. */
  readonly after: string | null;
}

/**
 * Which lines became which. Made for edits that replace single lines and add others: what is equal at both ends
 * is left aside, the rest is paired in order.
 */
export function lineChanges(before: string, after: string): LineChange[] {
  const [old, now] = [before.split('\n'), after.split('\n')];
  const changes: LineChange[] = [];
  let [from, to] = [0, 0];
  while (from < old.length || to < now.length) {
    const [was, is] = [old[from], now[to]];
    if (was === is) {
      from += 1;
      to += 1;
    } else if (was !== undefined && is !== undefined && now.indexOf(was, to) < 0) {
      changes.push({ before: was, after: is });
      from += 1;
      to += 1;
    } else if (is !== undefined) {
      changes.push({ before: null, after: is });
      to += 1;
    } else {
      changes.push({ before: was ?? null, after: null });
      from += 1;
    }
  }
  return changes;
}

/** Undoes changes in a text that has changed since. Lines that are no more there as they were left are told. */
export function undoLines(text: string, changes: readonly LineChange[]): { text: string; missing: string[] } {
  const lines = text.split('\n');
  const missing: string[] = [];
  for (const { before, after } of changes) {
    if (after === null) {
      if (before !== null && before !== '') lines.push(before);
      continue;
    }
    const at = lines.indexOf(after);
    if (at < 0) {
      if (after !== '') missing.push(after);
    } else if (before === null) lines.splice(at, 1);
    else lines[at] = before;
  }
  return { text: lines.join('\n'), missing };
}
