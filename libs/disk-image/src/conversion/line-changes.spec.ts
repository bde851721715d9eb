import { randomFrom } from '../testing/synthetic-disks';
import { lineChanges, undoLines } from './line-changes';

describe('taking back lines', () => {
  it.each([
    ['a\nb\nc\n', 'a\nB\nc\n'],
    ['a\n', 'a\nnew\nlines\n'],
    ['', 'new\n'],
    ['a\nb\nc\n', 'a\nc\n'],
    ['a\nb\nc\nd', 'a\nd'],
    ['a\nb\nc', 'B\nc\nd\ne'],
    ['a\na\na\n', 'x\ny\na\n'],
  ])('gives the text back that was there: %j became %j', (before, after) =>
    expect(undoLines(after, lineChanges(before, after))).toEqual({ text: before, missing: [] }),
  );

  it('gives any text back that was edited by replacing, adding and removing lines', () => {
    const seed = Number(process.env['WATARI_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    for (let round = 0; round < 3000; round++) {
      const old = Array.from({ length: 1 + Math.floor(random() * 8) }, (_, index) => `line ${index}`);
      const now = old.flatMap((line, index) => {
        const dice = random();
        if (dice < 0.2) return [`new ${index}`];
        if (dice < 0.35) return [];
        return dice < 0.5 ? [line, `more ${index}`] : [line];
      });
      const [before, after] = [old.join('\n'), now.length > 0 ? now.join('\n') : 'all new'];
      const undone = undoLines(after, lineChanges(before, after)).text;
      if (undone !== before) throw new Error(`seed ${seed}: ${JSON.stringify({ before, after, undone })}`);
    }
  });

  it('puts a line back where it was when others came since', () => {
    const changes = lineChanges('[Match]\nDriver=e\nMAC=1\n[Link]\n', '[Match]\nMAC=1\n[Link]\n');
    expect(undoLines('# new\n[Match]\nMAC=1\n[Link]\nMTU=9\n', changes).text).toBe(
      '# new\n[Match]\nDriver=e\nMAC=1\n[Link]\nMTU=9\n',
    );
  });

  it('keeps lines that came later, and tells which are gone', () => {
    const changes = lineChanges('a\nb\n', 'A\nB\n');
    expect(undoLines('later\nA\nC\n', changes)).toEqual({ text: 'later\na\nC\n', missing: ['B'] });
  });
});
