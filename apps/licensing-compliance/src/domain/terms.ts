import { z } from 'zod';

export const METRICS = [
  'none',
  'per-pair-of-instances',
  'windows-server-cores',
  'sql-server-virtual-cores',
] as const;
export type Metric = (typeof METRICS)[number];

export const ProductPack = z.strictObject({
  pack: z.strictObject({ id: z.string(), version: z.string().regex(/^\d+\.\d+\.\d+$/), asOf: z.string() }),
  products: z
    .array(
      z.strictObject({
        product: z.string().min(1),
        /** Beginnings of osinfo short ids, up to the release: `debian` matches debian12. */
        operatingSystems: z.array(z.string()).optional(),
        packages: z.array(z.string()).optional(),
        metric: z.enum(METRICS),
        source: z.string().min(1),
      }),
    )
    .min(1),
});
export type ProductPack = z.infer<typeof ProductPack>;
export type Product = ProductPack['products'][number];

/** What the calculators need to know of the server and of the host that it moves to. */
export interface Estate {
  readonly operatingSystemId: string;
  readonly packages: readonly string[];
  readonly vcpus: number;
  readonly host: { readonly cpuSockets: number; readonly cpuCores: number };
}

/** The pack's products that are on this server, and the names of what no pack knows. */
export function productsOn(
  estate: Estate,
  { products }: ProductPack,
): { found: readonly Product[]; unknown: readonly string[] } {
  const operatingSystem = products.filter((product) =>
    product.operatingSystems?.some((id) => matchesRelease(estate.operatingSystemId, id)),
  );
  const applications = products.filter((product) =>
    product.packages?.some((name) => estate.packages.includes(name)),
  );
  return {
    found: [...operatingSystem, ...applications],
    unknown: operatingSystem.length === 0 ? [estate.operatingSystemId] : [],
  };
}

function matchesRelease(id: string, family: string): boolean {
  return id === family || (id.startsWith(family) && /^[\d.]/.test(id.slice(family.length)));
}

/**
 * Licences that the move needs at its peak: source and target both exist while it can still be rolled back, so
 * both count, for no product here grants an overlap. Integers throughout.
 */
export function requiredFor(metric: Metric, estate: Estate): { required: number; derivation: string } {
  switch (metric) {
    case 'none':
      return { required: 0, derivation: 'Free software: nothing is counted.' };
    case 'per-pair-of-instances': {
      const instances = 2;
      return {
        required: Math.ceil(instances / 2),
        derivation: `Source and target are ${instances} instances; a subscription covers two.`,
      };
    }
    case 'windows-server-cores': {
      const { cpuSockets, cpuCores } = estate.host;
      const coresPerSocket = Math.ceil(cpuCores / cpuSockets);
      const required = Math.max(16, cpuSockets * Math.max(8, coresPerSocket));
      return {
        required,
        derivation: `The target has ${cpuSockets} processors of ${coresPerSocket} cores: max(16, ${cpuSockets} × max(8, ${coresPerSocket})) = ${required}; up to two guests.`,
      };
    }
    case 'sql-server-virtual-cores': {
      const perSide = Math.max(4, estate.vcpus);
      return {
        required: 2 * perSide,
        derivation: `max(4, ${estate.vcpus} virtual cores) = ${perSide}, on source and target: ${2 * perSide}.`,
      };
    }
  }
}
