export interface LineChange {
  /** Null: the line was added. */
  readonly before: string | null;
  /** Null: the line was removed. */
  readonly after: string | null;
  /** The line that stood before it in the changed text; null at the start. */
  readonly follows: string | null;
}

/** Larger differences are taken as one replaced block. */
const TABLE_CELLS_MAX = 4_000_000;

/** Which lines became which. Lines that went and lines that came at the same place are paired in order. */
export function lineChanges(before: string, after: string): LineChange[] {
  const [old, now] = [before.split('\n'), after.split('\n')];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let tail = 0;
  while (tail < old.length - start && tail < now.length - start && old.at(-1 - tail) === now.at(-1 - tail))
    tail += 1;
  const middle = { old: old.slice(start, old.length - tail), now: now.slice(start, now.length - tail) };

  const changes: LineChange[] = [];
  let at = start;
  for (const { gone, came } of blocksOf(middle.old, middle.now)) {
    for (let index = 0; index < Math.max(gone.length, came.length); index++) {
      const place = at + Math.min(index, came.length);
      changes.push({
        before: gone[index] ?? null,
        after: came[index] ?? null,
        follows: now[place - 1] ?? null,
      });
    }
    // Behind what came stands one line that both texts have.
    at += came.length + 1;
  }
  return changes;
}

interface Block {
  readonly gone: string[];
  readonly came: string[];
}

/** One block per stretch that differs; between two blocks stands one common line, where a block may be empty. */
function blocksOf(old: readonly string[], now: readonly string[]): Block[] {
  const width = now.length + 1;
  if ((old.length + 1) * width > TABLE_CELLS_MAX) return [{ gone: [...old], came: [...now] }];
  // common[i, j]: how many lines, in order, old from i and now from j have in common.
  const common = new Uint32Array((old.length + 1) * width);
  const cell = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--)
    for (let j = now.length - 1; j >= 0; j--)
      common[i * width + j] =
        old[i] === now[j] ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1));

  const blocks: Block[] = [];
  let block: Block = { gone: [], came: [] };
  for (let i = 0, j = 0; i < old.length || j < now.length;) {
    const [was, is] = [old[i], now[j]];
    if (was !== undefined && was === is) {
      blocks.push(block);
      block = { gone: [], came: [] };
      i += 1;
      j += 1;
    } else if (is === undefined || (was !== undefined && cell(i + 1, j) >= cell(i, j + 1))) {
      block.gone.push(was ?? '');
      i += 1;
    } else {
      block.came.push(is);
      j += 1;
    }
  }
  return [...blocks, block];
}

/** Undoes changes in a text that has changed since. Lines whose place is no more there are told. */
export function undoLines(text: string, changes: readonly LineChange[]): { text: string; missing: string[] } {
  const lines = text.split('\n');
  const missing: string[] = [];
  // From the last to the first: what a line followed is then still as the conversion left it.
  for (const { before, after, follows } of [...changes].reverse()) {
    if (after !== null) {
      const at = lines.lastIndexOf(after);
      if (at < 0) missing.unshift(after);
      else if (before === null) lines.splice(at, 1);
      else lines[at] = before;
    } else if (before !== null) {
      const at = follows === null ? -1 : lines.lastIndexOf(follows);
      if (follows !== null && at < 0) missing.unshift(before);
      else lines.splice(at + 1, 0, before);
    }
  }
  return { text: lines.join('\n'), missing };
}
