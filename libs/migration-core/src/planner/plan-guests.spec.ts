import { SeededChance } from '../testing/seeded-chance';
import { LIMITS, QUIET, setting } from './testing/settings';
import { type MoveResult, simulateMove } from './testing/simulated-move';

/*
 * Chance guests on chance links with a seed each. WATARI_FUZZ_SEED repeats one, WATARI_FUZZ_GUESTS takes more.
 */
const GUESTS = Number(process.env['WATARI_FUZZ_GUESTS'] ?? 20);
const SEEDS = process.env['WATARI_FUZZ_SEED']
  ? [Number(process.env['WATARI_FUZZ_SEED'])]
  : Array.from({ length: GUESTS }, () => Math.floor(Math.random() * 2 ** 32));
const MIB = 1024 * 1024;
const WORD_AT_MS = 15_000;

function chanceMove(chance: SeededChance): { move: MoveResult; budgetMs: number } {
  const pick = (values: readonly number[]): number => values[chance.below(values.length)]!;
  const guest = {
    ...QUIET,
    memoryBytes: (256 + chance.below(512)) * MIB,
    hotBytes: Math.round(2 ** (chance.fraction() * 8)) * 0.5 * MIB,
    pageWritesPerSecond: Math.round(10 ** (1 + chance.fraction() * 4)),
    hotWriteShare: pick([1, 0.99, 0.9]),
    firstPageWireBytes: 800 + chance.below(3_000),
    againPageWireBytes: pick([100, 300, 800, 2_000, 4_116]),
  };
  const fixedMs = 5 + chance.below(15);
  const budgetMs = pick([30, 50, 100, 300]);
  const waits = chance.below(2) === 0;
  const move = simulateMove(
    setting(guest, {
      linkBytesPerSecond: 20e6 * 6 ** chance.fraction(),
      codecBytesPerSecond: 60e6 * 5 ** chance.fraction(),
      fixedMs,
      durationMsMax: 30_000,
      limits: { ...LIMITS, downtimeLimitMs: budgetMs, fixedCostMs: fixedMs },
      onSample: ({ atMs, limits }) => ({ ...limits, maySwitch: !waits || atMs >= WORD_AT_MS }),
    }),
  );
  return { move, budgetMs };
}

it('every guest that is switched over keeps its budget, whatever it writes and waits for', () => {
  let switched = 0;
  for (const seed of SEEDS) {
    const { move, budgetMs } = chanceMove(new SeededChance(seed));
    if (move.downtimeMs === null) continue;
    switched += 1;
    if (move.downtimeMs > budgetMs)
      throw new Error(
        `Failed with WATARI_FUZZ_SEED=${seed}: a pause of ${move.downtimeMs} ms, the budget is ${budgetMs} ms. ${move.looks.at(-1)?.decision.reason}`,
      );
  }
  // Most of them can be: those that write less than the link carries.
  if (SEEDS.length >= 20) expect(switched).toBeGreaterThan(SEEDS.length / 3);
}, 120_000);
