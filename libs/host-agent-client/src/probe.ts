import { z } from 'zod';

const PortSchema = z.int().min(1).max(65_535);

export const ProbeSchema = z.discriminatedUnion('kind', [
  /** The guest itself accepts a connection on the port. */
  z.strictObject({ kind: z.literal('tcp'), port: PortSchema }),
  /** A GET of the path answers with status 200 to 399. */
  z.strictObject({
    kind: z.literal('http'),
    port: PortSchema,
    path: z
      .string()
      .max(1_024)
      .regex(/^\/[\x21-\x7e]*$/, 'must start with "/" and hold no blanks'),
  }),
  /** The text appears on the serial console. */
  z.strictObject({ kind: z.literal('console'), text: z.string().min(1).max(512) }),
]);
export type Probe = z.infer<typeof ProbeSchema>;

/** A probe given on a command line cannot be read. */
export class ProbeInvalid extends Error {
  readonly code = 'PROBE_INVALID';
  constructor(text: string, why: string) {
    super(`Probe "${text.slice(0, 80)}" ${why}. Write tcp:PORT, http:PORT/PATH or console:TEXT.`);
    this.name = 'ProbeInvalid';
  }
}

/** Reads `tcp:PORT`, `http:PORT/PATH` or `console:TEXT`. Throws `ProbeInvalid`. */
export function parseProbe(text: string): Probe {
  const [, kind, rest = ''] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (kind === 'console') return checked(text, { kind, text: rest });
  if (kind === 'tcp' && /^\d{1,5}$/.test(rest)) return checked(text, { kind, port: Number(rest) });
  if (kind === 'http') {
    const [, port, path = '/'] = /^(\d{1,5})(\/.*)?$/s.exec(rest) ?? [];
    if (port) return checked(text, { kind, port: Number(port), path });
  }
  throw new ProbeInvalid(text, 'is of no known form');
}

/** The inverse of `parseProbe`. */
export function formatProbe(probe: Probe): string {
  switch (probe.kind) {
    case 'tcp':
      return `tcp:${probe.port}`;
    case 'http':
      return `http:${probe.port}${probe.path}`;
    case 'console':
      return `console:${probe.text}`;
  }
}

function checked(text: string, value: unknown): Probe {
  const parsed = ProbeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ProbeInvalid(
    text,
    `has a bad ${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'not valid'}`,
  );
}
