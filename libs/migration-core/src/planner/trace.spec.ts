import { learnFixedCost } from './fixed-cost';
import { GUESTS, LIMITS, setting } from './testing/settings';
import { type MoveResult, simulateMove } from './testing/simulated-move';
import { parseTrace, PlannerTraceError } from './trace';
import { TRACE_BYTES_MAX } from './trace-format';
import { TraceRecorder } from './trace-recorder';
import { predictionError, replayTrace } from './trace-replay';

function recorded(move: MoveResult): string {
  const lines: string[] = [];
  const recorder = new TraceRecorder((text) => lines.push(text), move.looks[0]!.limits);
  for (const { sample, limits, decision } of move.looks) recorder.record(sample, limits, decision);
  recorder.end({ downtimeMs: move.downtimeMs, stoppedAtMs: move.endedAtMs });
  return lines.join('');
}

/** Code and line of what is wrong; '' when nothing is. */
function fault(text: string): string {
  try {
    parseTrace(text);
    return '';
  } catch (error) {
    if (error instanceof PlannerTraceError) return `${error.code} ${error.line}`;
    throw error;
  }
}

const waiting = { ...LIMITS, maySwitch: false, allows: { throttlePercentMax: 95, postCopy: false } };
const MOVES = {
  hot: simulateMove(
    setting(GUESTS.hotWriter, {
      limits: waiting,
      onSample: ({ atMs }) => ({ ...waiting, maySwitch: atMs >= 8_000 }),
    }),
  ),
  random: simulateMove(
    setting(GUESTS.randomWriter, { durationMsMax: 80_000, limits: { ...waiting, totalMsMax: 70_000 } }),
  ),
};
const TEXT = recorded(MOVES.hot);
const LINES = TEXT.trimEnd().split('\n');

describe('a trace', () => {
  it.each(Object.entries(MOVES))('of a %s writer replays to the very decisions', (_name, move) => {
    const { decisions, differingLines } = replayTrace(recorded(move));
    expect(decisions).toEqual(move.looks.map(({ decision }) => decision));
    expect(decisions.length).toBeGreaterThan(50);
    expect(differingLines).toEqual([]);
  });

  it('tells the line of a decision that would be another now', () => {
    const at = LINES.findIndex(
      (line) => line.includes('"kind":"decision"') && line.includes('"switch-over",'),
    );
    const changed = LINES.with(at, LINES[at]!.replace('"reason":"', '"reason":"Once: '));
    expect(replayTrace(changed.join('\n')).differingLines).toEqual([at + 1]);
  });

  it('keeps the limits that changed on the way', () => {
    const { records, limits } = parseTrace(TEXT);
    expect(limits.maySwitch).toBe(false);
    expect(records.at(-1)!.limits.maySwitch).toBe(true);
    expect(TEXT.split('"kind":"limits"').length - 1).toBe(1);
  });

  it('says how far the prediction was off', () => {
    const error = predictionError(parseTrace(TEXT))!;
    expect(error.measuredDowntimeMs).toBe(MOVES.hot.downtimeMs);
    expect(error.predictedDowntimeMs).toBe(MOVES.hot.looks.at(-1)!.decision.prediction.predictedDowntimeMs);
    expect(error.errorMs).toBeCloseTo(error.measuredDowntimeMs - error.predictedDowntimeMs, 6);
    expect(Math.abs(error.errorMs)).toBeLessThan(10);
    expect(error.isWithinBudget).toBe(true);
  });

  it('compares with the last prediction before the guest stopped', () => {
    const stoppedAtMs = 7_050;
    const earlier = LINES.with(-1, JSON.stringify({ kind: 'end', downtimeMs: 70, stoppedAtMs })).join('\n');
    const before = MOVES.hot.looks.find(({ sample }) => sample.atMs === 7_000)!;
    expect(predictionError(parseTrace(earlier))).toMatchObject({
      predictedDowntimeMs: before.decision.prediction.predictedDowntimeMs,
      isWithinBudget: false,
    });
  });

  it('has no prediction error when the guest was not taken away, or the end is missing', () => {
    expect(predictionError(parseTrace(recorded(MOVES.random)))).toBeNull();
    expect(predictionError(parseTrace(LINES.slice(0, -1).join('\n')))).toBeNull();
  });
});

describe('a text that is no trace', () => {
  it('is refused with the line that is wrong', () => {
    const join = (...lines: string[]): string => lines.join('\n');
    const [header, sample, decision] = LINES as [string, string, string];
    const end = LINES.at(-1)!;
    expect(fault(TEXT)).toBe('');
    expect(fault('')).toBe('TRACE_LINE_ORDER 1');
    expect(fault(join(sample, decision))).toBe('TRACE_LINE_ORDER 1');
    expect(fault(join(header, header))).toBe('TRACE_LINE_ORDER 2');
    expect(fault(join(header, decision))).toBe('TRACE_LINE_ORDER 2');
    expect(fault(join(header, sample, sample))).toBe('TRACE_LINE_ORDER 3');
    expect(fault(join(header, sample, end))).toBe('TRACE_LINE_ORDER 3');
    expect(fault(join(header, end, sample))).toBe('TRACE_LINE_ORDER 3');
    expect(fault(join(header, '', sample))).toBe('TRACE_LINE_INVALID 2');
    expect(fault(TEXT.slice(0, -20))).toBe(`TRACE_LINE_INVALID ${LINES.length}`);
    expect(fault(join(header, sample.replace('"rounds":1', '"rounds":-1')))).toBe('TRACE_LINE_INVALID 2');
    expect(fault(join(header, sample.replace('"rounds":1', '"rounds":"1"')))).toBe('TRACE_LINE_INVALID 2');
    expect(fault(join(header, sample.replace('"rounds":1', '"rounds":1,"more":1')))).toBe(
      'TRACE_LINE_INVALID 2',
    );
    expect(fault(header.replace('"version":2', '"version":3'))).toBe('TRACE_VERSION 1');
    expect(fault(join(header, ' '.repeat(20_000)))).toBe('TRACE_LINE_TOO_LONG 2');
    expect(fault(' '.repeat(TRACE_BYTES_MAX + 1))).toBe('TRACE_TOO_LONG 1');
  });

  it('is refused in words that say what is wrong', () => {
    expect(() => parseTrace(LINES[0]!.replace('"fixedCostMs":15', '"fixedCostMs":-1'))).toThrow(
      /^Line 1 of the trace: limits\.fixedCostMs: .+\.$/,
    );
  });
});

describe('the recorder', () => {
  it('stops before a trace gets too long to be read, and what it wrote can be read', () => {
    let length = 0;
    const kept: string[] = [];
    const { sample, limits, decision } = MOVES.hot.looks[0]!;
    const recorder = new TraceRecorder((text) => {
      length += text.length;
      if (kept.length < 3) kept.push(text);
      else kept[3] = text;
    }, limits);
    const long = { ...decision, reason: `${'A'.repeat(1_990)}.` };
    for (let looks = 0; looks < 40_000; looks += 1) recorder.record(sample, limits, long);
    expect(recorder.isFull).toBe(true);
    recorder.end({ downtimeMs: 20, stoppedAtMs: 100 });
    expect(length).toBeLessThanOrEqual(TRACE_BYTES_MAX);
    expect(length).toBeGreaterThan(0.99 * TRACE_BYTES_MAX);
    expect(parseTrace(kept.join('')).downtimeMs).toBe(20);
  });

  it('writes figures that cannot be as what the planner took them for', () => {
    const lines: string[] = [];
    const { sample, limits, decision } = MOVES.hot.looks[0]!;
    const recorder = new TraceRecorder((text) => lines.push(text), limits);
    recorder.record({ ...sample, remainingBytes: Number.NaN, wireBytes: -5 }, limits, decision);
    expect(parseTrace(lines.join('')).records[0]!.sample).toMatchObject({ remainingBytes: 0, wireBytes: 0 });
  });
});

describe('the fixed cost', () => {
  const { prediction } = MOVES.hot.looks.at(-1)!.decision;
  const { queuedMs, dirtyMs, applyMs } = prediction.parts;
  const explainedMs = queuedMs + dirtyMs + applyMs;

  it('rises by half of what a pause took more, and falls by a fifth of what it took less', () => {
    expect(learnFixedCost(30, prediction, explainedMs + 50)).toBeCloseTo(40, 6);
    expect(learnFixedCost(30, prediction, explainedMs + 5)).toBeCloseTo(25, 6);
  });

  it('is never below nothing', () => {
    expect(learnFixedCost(0, prediction, 0)).toBe(0);
  });
});
