import type { PlannerDecision } from './decision';
import { type PlannerLimits, type PlannerSample, soundLimits, soundSample } from './sample';
import { TRACE_BYTES_MAX, TRACE_FORMAT, TRACE_VERSION, type TraceLine } from './trace-format';

/** The end has to fit too. */
const END_BYTES = 1_024;

/**
 * Writes a trace, line by line, to a sink of the caller's. Stops recording when a trace gets too long to be read
 * again: what was written until then still replays.
 */
export class TraceRecorder {
  #limits: string;
  #bytes = 0;
  #isFull = false;

  /** `append` gets whole lines with their newline, in ASCII but for reasons; `onEnd` is called once, after the last. */
  constructor(
    private readonly append: (text: string) => void,
    limits: PlannerLimits,
    private readonly onEnd: () => void = () => undefined,
  ) {
    this.#limits = JSON.stringify(soundLimits(limits));
    this.#write({
      kind: 'header',
      format: TRACE_FORMAT,
      version: TRACE_VERSION,
      limits: soundLimits(limits),
    });
  }

  /** Whether the trace reached its longest; what comes is not recorded any more. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** One call of `plan`. */
  record(sample: PlannerSample, limits: PlannerLimits, decision: PlannerDecision): void {
    const sound = soundLimits(limits);
    const text = JSON.stringify(sound);
    const lines: TraceLine[] = [
      { kind: 'sample', sample: soundSample(sample) },
      { kind: 'decision', decision },
    ];
    if (text !== this.#limits) lines.unshift({ kind: 'limits', limits: sound });
    this.#limits = text;
    this.#write(...lines);
  }

  /** The move is over. `downtimeMs` is from STOP to RESUME, `stoppedAtMs` on the clock of the samples. */
  end(measured: { readonly downtimeMs: number | null; readonly stoppedAtMs: number | null }): void {
    this.#isFull = false;
    this.#write({ kind: 'end', ...measured });
    this.#isFull = true;
    this.onEnd();
  }

  #write(...lines: TraceLine[]): void {
    if (this.#isFull) return;
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    // Characters, as the reader counts them.
    this.#bytes += text.length;
    this.#isFull = this.#bytes > TRACE_BYTES_MAX - END_BYTES && lines[0]?.kind !== 'end';
    if (!this.#isFull) this.append(text);
  }
}
