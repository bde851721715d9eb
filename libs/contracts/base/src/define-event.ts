import { z } from 'zod';

/** Turns the data of version n into the data of version n + 1. Pure. */
export type Upcast = (data: Record<string, unknown>) => Record<string, unknown>;

export interface EventContract<Type extends string = string, Data extends z.ZodObject = z.ZodObject> {
  readonly type: Type;
  /** Counts from 1. Raised by every change, so that a released schema never changes. */
  readonly version: number;
  readonly topic: string;
  /** The field of `data` whose value is the record key; order is kept per key. */
  readonly key: string;
  readonly summary: string;
  readonly data: Data;
  readonly upcasts: Readonly<Record<number, Upcast>>;
}

export type DataOf<Contract extends EventContract> = z.infer<Contract['data']>;

const TYPE_PATTERN = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;
const TOPIC_PATTERN = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;

/**
 * Declares one public event. Throws when the declaration itself cannot work: a malformed name, a key that is
 * no field of the data, or a version without an upcast from each older one.
 */
export function defineEvent<const Type extends string, Data extends z.ZodObject>(declaration: {
  type: Type;
  version: number;
  topic: string;
  key: Extract<keyof z.infer<Data>, string>;
  summary: string;
  data: Data;
  upcasts?: Readonly<Record<number, Upcast>>;
}): EventContract<Type, Data> {
  const { type, version, topic, key, data, upcasts = {} } = declaration;
  if (!TYPE_PATTERN.test(type))
    throw new Error(`Event type "${type}" must read <aggregate>.<past-tense-verb> in kebab-case.`);
  if (!TOPIC_PATTERN.test(topic))
    throw new Error(`Topic "${topic}" of ${type} must read <service>.<aggregate> in kebab-case.`);
  if (!Number.isInteger(version) || version < 1)
    throw new Error(`Version of ${type} must be a whole number from 1.`);
  if (!(key in data.shape)) throw new Error(`Key "${key}" of ${type} is no field of its data.`);
  for (let from = 1; from < version; from += 1) {
    if (!upcasts[from])
      throw new Error(`${type} is at version ${version} but has no upcast from version ${from}.`);
  }
  return { ...declaration, upcasts };
}

/** Events of one producer, found by type. Throws on two events of one type. */
export function catalogueOf(contracts: readonly EventContract[]): ReadonlyMap<string, EventContract> {
  const catalogue = new Map<string, EventContract>();
  for (const contract of contracts) {
    if (catalogue.has(contract.type)) throw new Error(`Event type ${contract.type} is declared twice.`);
    catalogue.set(contract.type, contract);
  }
  return catalogue;
}
