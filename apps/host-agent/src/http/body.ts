import type { IncomingMessage } from 'node:http';

import type { z } from 'zod';

import { AgentError } from '../errors';

const BODY_BYTES_MAX = 1024 * 1024;

/** The request's JSON body by its schema. Throws BODY_TOO_LONG, BODY_NOT_JSON or REQUEST_INVALID with the field. */
export async function readBody<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new AgentError('BODY_TOO_LONG', `A body may have ${BODY_BYTES_MAX} bytes.`, { status: 413 });
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new AgentError('BODY_NOT_JSON', 'The body must be JSON.', { status: 400, cause });
  }
  return check(schema, value);
}

/** Throws REQUEST_INVALID with the field. */
export function check<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknownKey = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const path = [...(issue?.path ?? []), ...(unknownKey === undefined ? [] : [unknownKey])].join('.');
  throw new AgentError('REQUEST_INVALID', `${path || 'The body'}: ${issue?.message ?? 'not valid'}.`, {
    status: 400,
    ...(path !== '' && { field: path }),
  });
}
