import { randomUUID } from 'node:crypto';
import {
  Body,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type PipeTransform,
  createParamDecorator,
  applyDecorators,
} from '@nestjs/common';
import { ApiBody, ApiResponse } from '@nestjs/swagger';
import type { Cause } from '@watari/event-sourcing';
import type { Request } from 'express';
import { type ZodType, z } from 'zod';
import { Problem, ProblemDocument, invalidCommand } from './problem';
import { timingSafeEqual, createHash } from 'node:crypto';

class ZodPipe<T> implements PipeTransform<unknown, T> {
  constructor(private readonly schema: ZodType<T>) {}
  transform(value: unknown): T {
    const parsed = this.schema.safeParse(value ?? {});
    if (!parsed.success) throw invalidCommand(parsed.error);
    return parsed.data;
  }
}

/** The checked request body; a body that does not match answers 422 COMMAND_INVALID with the fields. */
export function CommandBody<T>(schema: ZodType<T>): ParameterDecorator {
  return Body(new ZodPipe(schema));
}

type OpenApiSchema = NonNullable<Extract<Parameters<typeof ApiBody>[0], { schema: unknown }>['schema']>;

export function openApiSchema(schema: ZodType): OpenApiSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-2020-12',
    unrepresentable: 'any',
  }) as Record<string, unknown>;
  return rest as OpenApiSchema;
}

/** Documents a command: its body, what it answers, and the problems every command can answer. */
export function ApiCommand(options: { body?: ZodType; answer: ZodType; status?: number }): MethodDecorator {
  const problem = openApiSchema(ProblemDocument);
  return applyDecorators(
    ...(options.body ? [ApiBody({ schema: openApiSchema(options.body) })] : []),
    ApiResponse({ status: options.status ?? 200, schema: openApiSchema(options.answer) }),
    ApiResponse({ status: 409, description: 'The state forbids it.', schema: problem }),
    ApiResponse({ status: 422, description: 'The command is not valid.', schema: problem }),
  );
}

const ID_PATTERN = /^[A-Za-z0-9_.:-]{1,100}$/;

/**
 * Why this request happens. `Idempotency-Key` names the command: the same key answers with what it did the
 * first time. `X-Correlation-Id` ties it to other work; a new id otherwise.
 */
export const RequestCause = createParamDecorator((_data: unknown, context: ExecutionContext): Cause => {
  const request = context.switchToHttp().getRequest<Request>();
  const commandId = headerId(request, 'idempotency-key') ?? randomUUID();
  return {
    commandId,
    correlationId: headerId(request, 'x-correlation-id') ?? commandId,
    causationId: commandId,
  };
});

function headerId(request: Request, name: string): string | undefined {
  const value = request.headers[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !ID_PATTERN.test(value)) {
    throw new Problem(
      400,
      'HEADER_INVALID',
      `The header ${name} must be 1 to 100 letters, digits or any of _ . : -`,
    );
  }
  return value;
}

/** Checks the bearer token of every request but the health checks. */
@Injectable()
export class TokenGuard implements CanActivate {
  private readonly expected: Buffer;
  constructor(token: string) {
    this.expected = createHash('sha256').update(token).digest();
  }

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Request>();
    if (request.path.startsWith('/health/')) return true;
    const given = /^Bearer (.{1,500})$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (!timingSafeEqual(createHash('sha256').update(given).digest(), this.expected)) {
      throw new Problem(
        401,
        'TOKEN_INVALID',
        'Send the token of this installation as "Authorization: Bearer <token>".',
      );
    }
    return true;
  }
}
