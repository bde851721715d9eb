import { z } from 'zod';
import type { EventContract } from './define-event';

/** JSON Schema 2020-12 of what a producer writes; `input` mode keeps readers tolerant of fields to come. */
export function jsonSchemaOf(contract: EventContract): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(contract.data, {
    io: 'input',
    target: 'draft-2020-12',
  }) as Record<string, unknown>;
  return {
    $schema,
    $id: `urn:watari:event:${contract.type}:${contract.version}`,
    title: contract.type,
    description: contract.summary,
    'x-topic': contract.topic,
    'x-key': contract.key,
    ...schema,
  };
}

/** AsyncAPI 3.0 document of one producer: a channel per topic, a message per event. */
export function asyncApiOf(service: string, contracts: readonly EventContract[]): Record<string, unknown> {
  const topics = [...new Set(contracts.map(({ topic }) => topic))].sort();
  const messagesOf = (topic: string) => contracts.filter((contract) => contract.topic === topic);
  return {
    asyncapi: '3.0.0',
    info: {
      title: `Watari ${service} events`,
      version: '1.0.0',
      description:
        'CloudEvents 1.0 in binary mode: attributes are `ce_` headers, the value is JSON. At least once; ordered per key.',
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      topics.map((topic) => [
        topic,
        {
          address: topic,
          messages: Object.fromEntries(
            messagesOf(topic).map(({ type }) => [type, { $ref: `#/components/messages/${type}` }]),
          ),
        },
      ]),
    ),
    operations: Object.fromEntries(
      topics.map((topic) => [
        `publish.${topic}`,
        {
          action: 'send',
          channel: { $ref: `#/channels/${topic}` },
          messages: messagesOf(topic).map(({ type }) => ({ $ref: `#/channels/${topic}/messages/${type}` })),
        },
      ]),
    ),
    components: {
      messages: Object.fromEntries(
        contracts.map((contract) => {
          const { $schema: _dialect, $id: _id, ...payload } = jsonSchemaOf(contract);
          return [
            contract.type,
            {
              name: contract.type,
              title: contract.summary,
              headers: { $ref: '#/components/schemas/CloudEventHeaders' },
              payload,
              'x-version': contract.version,
            },
          ];
        }),
      ),
      schemas: { CloudEventHeaders: CLOUD_EVENT_HEADERS },
    },
  };
}

const CLOUD_EVENT_HEADERS = {
  type: 'object',
  required: [
    'ce_specversion',
    'ce_id',
    'ce_source',
    'ce_type',
    'ce_time',
    'ce_dataversion',
    'ce_correlationid',
    'ce_causationid',
  ],
  properties: {
    ce_specversion: { const: '1.0' },
    ce_id: { type: 'string', description: 'Unique per event; a second record with the same id is dropped.' },
    ce_source: { type: 'string', description: 'The producing service.' },
    ce_type: { type: 'string' },
    ce_time: { type: 'string', format: 'date-time' },
    ce_dataversion: { type: 'string', description: 'Version of the payload schema, from 1.' },
    ce_correlationid: { type: 'string', description: 'Everything that belongs to one piece of work.' },
    ce_causationid: { type: 'string', description: 'The command or event that led to this one.' },
  },
};
