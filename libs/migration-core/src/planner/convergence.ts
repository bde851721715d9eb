/** Whether passes still bring the pause down. */
export interface ConvergenceState {
  /** Lowest prediction of a pass that counted; null before the first pass was over. */
  readonly lowestMs: number | null;
  readonly stagnantPasses: number;
  readonly judgedRounds: number;
  readonly judgedMs: number;
}

/** Three passes that do not bring the prediction down by a tenth: more of them would not either. */
export const STAGNANT_PASSES_MAX = 3;
const SHRINK_SHARE = 0.9;
/** Shorter passes are judged together: one by one their differences are chance. */
const JUDGED_MS_MIN = 300;

export const INITIAL_CONVERGENCE: ConvergenceState = {
  lowestMs: null,
  stagnantPasses: 0,
  judgedRounds: 0,
  judgedMs: 0,
};

/** `isHeldBack`: passes of a source that is slowed on purpose take longer, and find more. */
export function judgeConvergence(
  state: ConvergenceState,
  now: { atMs: number; rounds: number; predictedDowntimeMs: number; isHeldBack: boolean; isReady: boolean },
): ConvergenceState {
  const judged = { judgedRounds: now.rounds, judgedMs: now.atMs };
  if (now.isReady || now.rounds < 2) return { ...judged, lowestMs: null, stagnantPasses: 0 };
  if (now.isHeldBack) return { ...state, ...judged };
  if (now.rounds <= state.judgedRounds || now.atMs - state.judgedMs < JUDGED_MS_MIN) return state;
  const { lowestMs } = state;
  if (lowestMs === null || now.predictedDowntimeMs < SHRINK_SHARE * lowestMs)
    return { ...judged, lowestMs: now.predictedDowntimeMs, stagnantPasses: 0 };
  return { ...judged, lowestMs, stagnantPasses: state.stagnantPasses + 1 };
}

export function isConverging({ stagnantPasses }: ConvergenceState): boolean {
  return stagnantPasses < STAGNANT_PASSES_MAX;
}

/** A new means gets passes of its own to do better than all before. */
export function afterMeans(state: ConvergenceState): ConvergenceState {
  return { ...state, stagnantPasses: 0 };
}
