import type { z } from 'zod';
import type { DataOf, EventContract } from './define-event';

/** What a record on the bus looks like to this layer; adapters add topic, partition and offset. */
export interface EventRecord {
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: string | Uint8Array;
}

/** Attributes of one published event, named after CloudEvents 1.0 (binary mode: `ce_` headers). */
export interface EventAttributes {
  /** Unique per event for ever; consumers drop a second record with the same id. */
  readonly id: string;
  /** The producing service. */
  readonly source: string;
  /** RFC 3339, when it was recorded. */
  readonly time: string;
  /** One id for everything that belongs to one piece of work: a migration's id, where there is a migration. */
  readonly correlationId: string;
  /** The id of the command or event that led to this one. */
  readonly causationId: string;
}

export interface PublicEvent<
  Type extends string = string,
  Data = Record<string, unknown>,
> extends EventAttributes {
  readonly type: Type;
  /** Always the latest version: older ones were upcast on reading. */
  readonly version: number;
  readonly data: Data;
}

export type EventOf<Contract extends EventContract> =
  Contract extends EventContract<infer Type, infer Data> ? PublicEvent<Type, z.infer<Data>> : never;

export const EVENT_BYTES_MAX = 900_000;

export type ViolationCode =
  | 'EVENT_HEADER_MISSING'
  | 'EVENT_TYPE_UNKNOWN'
  | 'EVENT_VERSION_NEWER'
  | 'EVENT_VERSION_INVALID'
  | 'EVENT_TOO_LARGE'
  | 'EVENT_MALFORMED';

/** A record that is no event of the contracts at hand. Never retried: the same bytes fail the same way. */
export class ContractViolation extends Error {
  readonly canRetry = false;
  constructor(
    readonly code: ViolationCode,
    message: string,
  ) {
    super(message);
    this.name = 'ContractViolation';
  }
}

/** Checks `data` against the contract and makes the record. Throws ContractViolation: a producer's bug. */
export function encodeEvent<Contract extends EventContract>(
  contract: Contract,
  data: DataOf<Contract>,
  attributes: EventAttributes,
): EventRecord & { readonly value: string } {
  const checked = contract.data.safeParse(data);
  if (!checked.success) {
    throw new ContractViolation(
      'EVENT_MALFORMED',
      `${contract.type} v${contract.version}: ${firstIssue(checked.error)}`,
    );
  }
  const value = JSON.stringify(checked.data);
  if (Buffer.byteLength(value) > EVENT_BYTES_MAX) {
    throw new ContractViolation('EVENT_TOO_LARGE', `${contract.type} is over ${EVENT_BYTES_MAX} bytes.`);
  }
  return {
    key: String((checked.data as Record<string, unknown>)[contract.key]),
    headers: {
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: attributes.id,
      ce_source: attributes.source,
      ce_type: contract.type,
      ce_time: attributes.time,
      ce_dataversion: String(contract.version),
      ce_correlationid: attributes.correlationId,
      ce_causationid: attributes.causationId,
    },
    value,
  };
}

/**
 * Reads a record as an event of the catalogue: upcasts it step by step, then checks it once against the
 * latest schema. Throws ContractViolation for anything that is no such event.
 */
export function decodeEvent(record: EventRecord, catalogue: ReadonlyMap<string, EventContract>): PublicEvent {
  const type = header(record, 'ce_type');
  const contract = catalogue.get(type);
  if (!contract)
    throw new ContractViolation(
      'EVENT_TYPE_UNKNOWN',
      `No contract declares an event of type "${type.slice(0, 100)}".`,
    );
  const version = Number(header(record, 'ce_dataversion'));
  if (!Number.isInteger(version) || version < 1) {
    throw new ContractViolation('EVENT_VERSION_INVALID', `${type} carries no usable version.`);
  }
  if (version > contract.version) {
    throw new ContractViolation(
      'EVENT_VERSION_NEWER',
      `${type} arrived as version ${version}; this reader knows ${contract.version}. Deploy the reader first, then replay.`,
    );
  }
  const parsed = contract.data.safeParse(upcast(contract, version, parseJsonObject(record, type)));
  if (!parsed.success)
    throw new ContractViolation('EVENT_MALFORMED', `${type} v${version}: ${firstIssue(parsed.error)}`);
  return {
    id: header(record, 'ce_id'),
    source: header(record, 'ce_source'),
    type,
    version: contract.version,
    time: header(record, 'ce_time'),
    correlationId: header(record, 'ce_correlationid'),
    causationId: header(record, 'ce_causationid'),
    data: parsed.data,
  };
}

function upcast(
  contract: EventContract,
  from: number,
  data: Record<string, unknown>,
): Record<string, unknown> {
  let current = data;
  for (let version = from; version < contract.version; version += 1) {
    const step = contract.upcasts[version];
    if (!step) throw new Error(`${contract.type} has no upcast from version ${version}.`);
    current = step(current);
  }
  return current;
}

function header(record: EventRecord, name: string): string {
  const value = record.headers[name];
  if (!value) throw new ContractViolation('EVENT_HEADER_MISSING', `The record lacks the header ${name}.`);
  if (value.length > 1000)
    throw new ContractViolation('EVENT_MALFORMED', `The header ${name} is over 1000 characters.`);
  return value;
}

function parseJsonObject(record: EventRecord, type: string): Record<string, unknown> {
  const text = typeof record.value === 'string' ? record.value : Buffer.from(record.value).toString('utf8');
  if (text.length > EVENT_BYTES_MAX)
    throw new ContractViolation('EVENT_TOO_LARGE', `${type} is over ${EVENT_BYTES_MAX} bytes.`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new ContractViolation('EVENT_MALFORMED', `${type}: the value is no JSON.`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new ContractViolation('EVENT_MALFORMED', `${type}: the value is no JSON object.`);
  }
  return parsed as Record<string, unknown>;
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue
    ? `${issue.path.map(String).join('.') || 'data'}: ${issue.message}`
    : 'does not match its schema';
}
