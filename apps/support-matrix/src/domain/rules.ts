import { Environment } from '@marcbachmann/cel-js';
import type { Concern } from '@watari/contracts-support-matrix';
import { z } from 'zod';

/** One rule of a pack: a predicate in CEL over the facts, and what it means when it is true. */
const Rule = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9.-]*$/),
  /** Facts the predicate reads. One that is missing makes the concern `unknown`: ignorance is no consent. */
  needs: z.array(z.string()).min(1),
  when: z.string().max(2000),
  severity: z.enum(['critical', 'warning', 'information', 'unknown']),
  text: z.string(),
  remedy: z.string(),
  source: z.string(),
});

export const RulePack = z.strictObject({
  pack: z.strictObject({
    id: z.string(),
    version: z.string().regex(/^\d+\.\d+\.\d+$/),
    asOf: z.string(),
    platform: z.enum(['kvm']),
    virtualization: z.enum(['full']),
  }),
  rules: z.array(Rule).min(1).max(1000),
});
export type RulePack = z.infer<typeof RulePack>;

export type Facts = Readonly<Record<string, unknown>>;
export type Evaluate = (facts: Facts) => Concern[];
export type Readiness = 'ready' | 'ready-with-conditions' | 'unknown' | 'not-ready';

/** Compiles a pack once. Throws, naming the rule, when a predicate does not parse. */
export function compilePack({ pack, rules }: RulePack): Evaluate {
  const environment = new Environment({ unlistedVariablesAreDyn: true });
  const compiled = rules.map((rule) => {
    try {
      return { rule, holds: environment.parse(rule.when) };
    } catch (error) {
      throw new Error(`Rule ${rule.id} of pack ${pack.id}: ${(error as Error).message}`, { cause: error });
    }
  });
  return (facts) =>
    compiled.flatMap(({ rule, holds }) => {
      const ruleId = `${rule.id}@${pack.id}-${pack.version}`;
      const missing = rule.needs.filter((path) => factAt(facts, path) === undefined);
      if (missing.length > 0) {
        return [
          {
            ruleId,
            severity: 'unknown' as const,
            text: `Not known: ${missing.join(', ')}.`,
            remedy: 'Provide the missing facts.',
            source: rule.source,
          },
        ];
      }
      if (holds(facts) !== true) return [];
      return [
        {
          ruleId,
          severity: rule.severity,
          text: fill(rule.text, facts),
          remedy: rule.remedy,
          source: rule.source,
        },
      ];
    });
}

/** Azure Migrate's four states: a critical concern outweighs ignorance, ignorance outweighs conditions. */
export function readinessOf(concerns: readonly Pick<Concern, 'severity'>[]): Readiness {
  const has = (severity: Concern['severity']) => concerns.some((concern) => concern.severity === severity);
  if (has('critical')) return 'not-ready';
  if (has('unknown')) return 'unknown';
  return has('warning') ? 'ready-with-conditions' : 'ready';
}

function factAt(facts: Facts, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined,
      facts,
    );
}

function fill(text: string, facts: Facts): string {
  return text.replace(/\{([a-zA-Z.]+)\}/g, (_placeholder, path: string) =>
    String(factAt(facts, path) ?? 'unknown').slice(0, 200),
  );
}
