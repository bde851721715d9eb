import type { PlannerDecision } from './decision';
import type { PlannerLimits, PlannerSample } from './sample';
import {
  TRACE_BYTES_MAX,
  TRACE_FORMAT,
  TRACE_LINE_BYTES_MAX,
  TRACE_VERSION,
  type TraceLine,
  TraceLineSchema,
} from './trace-format';

export interface TraceRecord {
  /** Of the decision, from 1. */
  readonly line: number;
  readonly sample: PlannerSample;
  readonly limits: PlannerLimits;
  readonly decision: PlannerDecision;
}

/** What one move saw and decided. */
export interface Trace {
  readonly version: typeof TRACE_VERSION;
  /** As the move began. */
  readonly limits: PlannerLimits;
  readonly records: readonly TraceRecord[];
  /** From STOP to RESUME; null when it was not measured. */
  readonly downtimeMs: number | null;
  /** When the guest stopped, on the clock of the samples. */
  readonly stoppedAtMs: number | null;
}

export type PlannerTraceErrorCode =
  'TRACE_TOO_LONG' | 'TRACE_LINE_TOO_LONG' | 'TRACE_LINE_INVALID' | 'TRACE_LINE_ORDER' | 'TRACE_VERSION';

/** A text is no trace that can be replayed; `line` counts from 1. */
export class PlannerTraceError extends Error {
  constructor(
    readonly code: PlannerTraceErrorCode,
    readonly line: number,
    message: string,
  ) {
    super(`Line ${line} of the trace: ${message}`);
    this.name = 'PlannerTraceError';
  }
}

/** Reads a trace. Throws PlannerTraceError on the first line that is wrong. */
export function parseTrace(text: string): Trace {
  if (text.length > TRACE_BYTES_MAX)
    throw new PlannerTraceError(
      'TRACE_TOO_LONG',
      1,
      `the text has ${text.length} characters, ${TRACE_BYTES_MAX} are the limit. Cut it after a decision.`,
    );
  const reader = new TraceReader();
  let from = 0;
  for (let line = 1; from < text.length; line += 1) {
    const at = text.indexOf('\n', from);
    const to = at === -1 ? text.length : at;
    if (to - from > TRACE_LINE_BYTES_MAX)
      throw new PlannerTraceError(
        'TRACE_LINE_TOO_LONG',
        line,
        `it has ${to - from} characters, ${TRACE_LINE_BYTES_MAX} are the limit.`,
      );
    reader.take(parsedLine(text.slice(from, to), line), line);
    from = to + 1;
  }
  return reader.trace();
}

function parsedLine(text: string, line: number): TraceLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new PlannerTraceError(
      'TRACE_LINE_INVALID',
      line,
      `it is no JSON (${String(error)}). If it is the last and was cut off, remove it.`,
    );
  }
  if (isOtherVersion(value))
    throw new PlannerTraceError(
      'TRACE_VERSION',
      line,
      `its version is ${String(value.version)}, this planner reads ${TRACE_VERSION}. Replay it with the release that wrote it.`,
    );
  const { success, data, error } = TraceLineSchema.safeParse(value);
  if (success) return data;
  const issue = error.issues[0];
  throw new PlannerTraceError(
    'TRACE_LINE_INVALID',
    line,
    `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'not understood'}.`,
  );
}

function isOtherVersion(value: unknown): value is { version: unknown } {
  if (typeof value !== 'object' || value === null || !('format' in value) || !('version' in value))
    return false;
  return value.format === TRACE_FORMAT && value.version !== TRACE_VERSION;
}

/** Puts lines together, and sees to their order. */
class TraceReader {
  readonly #records: TraceRecord[] = [];
  #first: PlannerLimits | null = null;
  #limits: PlannerLimits | null = null;
  #sample: PlannerSample | null = null;
  #end: Extract<TraceLine, { kind: 'end' }> | null = null;

  take(read: TraceLine, line: number): void {
    const refuse = (message: string): never => {
      throw new PlannerTraceError('TRACE_LINE_ORDER', line, message);
    };
    if (this.#end) refuse('something comes after the end.');
    if (read.kind === 'header') {
      if (this.#first) refuse('a second header; a trace is of one move.');
      this.#first = this.#limits = read.limits;
      return;
    }
    const limits = this.#limits ?? refuse('the header is missing; it comes first.');
    if (this.#sample && read.kind !== 'decision') refuse(`a decision is due, not "${read.kind}".`);
    if (read.kind === 'limits') this.#limits = read.limits;
    if (read.kind === 'sample') this.#sample = read.sample;
    if (read.kind === 'end') this.#end = read;
    if (read.kind !== 'decision') return;
    const sample = this.#sample ?? refuse('a decision without a sample.');
    this.#sample = null;
    this.#records.push({ line, sample, limits, decision: read.decision });
  }

  trace(): Trace {
    if (!this.#first)
      throw new PlannerTraceError('TRACE_LINE_ORDER', 1, 'the header is missing; the text is empty.');
    return {
      version: TRACE_VERSION,
      limits: this.#first,
      records: this.#records,
      downtimeMs: this.#end?.downtimeMs ?? null,
      stoppedAtMs: this.#end?.stoppedAtMs ?? null,
    };
  }
}
