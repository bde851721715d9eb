import { bytesInWords } from '../cli/output';
import type { Observed } from './service-client';
import type { UnconvertedOutcome } from './unconverted';

export interface Leg {
  readonly from: string;
  readonly to: string;
  readonly migrationId: string;
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly guestBytes: number;
  readonly wireBytes: number;
  /** Pages that the target held already: unchanged, changed a little, elsewhere. */
  readonly samePages: number;
  readonly deltaPages: number;
  readonly copiedPages: number;
  readonly pages: number;
  readonly zeroPages: number;
  readonly rounds: number;
  /** Absent when the probe gives no answers that could be timed. */
  readonly observed?: Observed;
}

export interface DemoReport {
  readonly server: { readonly name: string; readonly system: string; readonly disk: string };
  readonly accelerator: string;
  readonly bus: string;
  readonly unconverted: UnconvertedOutcome;
  readonly cold: {
    readonly migrationId: string;
    readonly steps: readonly string[];
    readonly bootProofMs: number;
    readonly totalMs: number;
  };
  readonly legs: readonly Leg[];
  readonly complaints: readonly string[];
  readonly sourceUnchanged: boolean;
  readonly tookMs: number;
}

/** The whole story on one page. */
export function describeReport(report: DemoReport): string {
  const { server, accelerator, bus, unconverted, cold, legs, complaints, sourceUnchanged, tookMs } = report;
  return [
    '',
    `The crossing of ${server.name} (${server.system})`,
    '',
    `  Source      ${server.disk}${sourceUnchanged ? ', unchanged' : ', CHANGED'}`,
    `  Guests run  by ${accelerator}; events go by ${bus}`,
    '',
    '  Conversion',
    `    unconverted on virtio   ${unconvertedInWords(unconverted)}`,
    `    converted on virtio     reached its service ${seconds(cold.bootProofMs)} after power-on, before cutover`,
    ...cold.steps.map((step) => `      · ${step}`),
    `    from plan to running    ${seconds(cold.totalMs)}`,
    ...legs.flatMap(describeLeg),
    '',
    complaints.length === 0
      ? '  The counter never went back, the machine was never booted again, and the memory block is as it was written.'
      : `  NOT as it should be: ${complaints.join('; ')}.`,
    `  It took ${seconds(tookMs)} in all.`,
    '',
  ].join('\n');
}

function describeLeg(leg: Leg): string[] {
  const saved = leg.guestBytes > 0 ? ` (${Math.round((100 * leg.wireBytes) / leg.guestBytes)} %)` : '';
  return [
    '',
    `  Live, ${leg.from} → ${leg.to}`,
    ...(leg.observed
      ? [`    downtime by the client  ${clientInWords(leg.observed)}`]
      : ['    downtime by the client  not measured: the probe gives no answers to time']),
    `    STOP to RESUME          ${leg.downtimeMs === null ? 'not known' : `${Math.round(leg.downtimeMs)} ms`}`,
    `    read from the guest     ${bytesInWords(leg.guestBytes)} in ${leg.rounds} rounds, ${leg.zeroPages} of ${leg.pages} pages were zero`,
    `    on the wire             ${bytesInWords(leg.wireBytes)}${saved}`,
    `    held by the target      ${leg.samePages} pages as they were, ${leg.deltaPages} but for what changed, ${leg.copiedPages} elsewhere`,
    `    whole move              ${seconds(leg.totalMs)}`,
  ];
}

function clientInWords({ longestGapMs, usualGapMs, asked, answered }: Observed): string {
  return `${Math.round(longestGapMs)} ms without an answer at worst, ${Math.round(usualGapMs)} ms usually (${answered} answers to ${asked} requests)`;
}

function unconvertedInWords(outcome: UnconvertedOutcome): string {
  const after = seconds(outcome.afterMs);
  if (outcome.boots === true)
    return `boots by itself after ${after}: this system brings its own virtio drivers`;
  if (outcome.boots === 'unknown') return `no answer and no word of failure within ${after}`;
  return `does not boot (after ${after}: "${outcome.sign}")`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
