export { defineEvent, catalogueOf } from './define-event';
export type { DataOf, EventContract, Upcast } from './define-event';
export { ContractViolation, EVENT_BYTES_MAX, decodeEvent, encodeEvent } from './envelope';
export type { EventAttributes, EventOf, EventRecord, PublicEvent, ViolationCode } from './envelope';
export { asyncApiOf, jsonSchemaOf } from './documents';
