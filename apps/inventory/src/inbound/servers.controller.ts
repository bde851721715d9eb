import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { ServerFacts } from '@watari/contracts-inventory';
import { type Cause, loadState, runCommand } from '@watari/event-sourcing';
import {
  ApiCommand,
  CommandBody,
  Problem,
  RequestCause,
  SERVICE_CONTEXT,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { type Server, server } from '../domain/server';
import { ServerView } from '../outbound/inventory.views';
import { DISK_INSPECTOR, type DiskInspector } from '../ports';
import { Probe } from './probe';

const RegisterServerBody = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'must be 1 to 63 letters, digits or any of . _ -'),
  disk: z.strictObject({
    path: z.string().max(4000).refine(isAbsolute, 'must be an absolute path'),
    format: z.enum(['raw', 'qcow2']).optional(),
  }),
  probe: Probe,
  memoryMiB: z.int().min(64).max(1_048_576).default(1024),
  vcpus: z.int().min(1).max(256).default(1),
});

const ServerAnswer = z.object({
  serverId: z.string(),
  name: z.string(),
  probe: z.string(),
  memoryMiB: z.int(),
  vcpus: z.int(),
  facts: ServerFacts,
});

@ApiTags('inventory')
@ApiBearerAuth()
@Controller('servers')
export class ServersController {
  constructor(
    @Inject(SERVICE_CONTEXT) private readonly context: ServiceContext,
    @Inject(DISK_INSPECTOR) private readonly inspector: DiskInspector,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Look at a server disk and register the server with what is on it.' })
  @ApiCommand({ body: RegisterServerBody, answer: ServerAnswer, status: 201 })
  async register(
    @CommandBody(RegisterServerBody) body: z.infer<typeof RegisterServerBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    const { disk, ...rest } = body;
    const now = this.context.now();
    const facts = await this.inspector.inspect(disk.path, disk.format, now);
    const serverId = serverIdOf(disk.path);
    const command = { type: 'RegisterServer' as const, data: { ...rest, facts, at: now.toISOString() } };
    const { state } = await runCommand(this.context.store, server, serverId, command, cause);
    return answer(serverId, state);
  }

  @Get()
  @ApiOperation({ summary: 'All registered servers.' })
  async list(): Promise<object[]> {
    return this.context.dataSource.getRepository(ServerView).find({ order: { name: 'ASC' }, take: 1000 });
  }

  @Get(':serverId')
  @ApiOperation({ summary: 'One server, by its id or its name.' })
  @ApiCommand({ answer: ServerAnswer })
  async get(@Param('serverId') idOrName: string): Promise<object> {
    const views = this.context.dataSource.getRepository(ServerView);
    const serverId = z.uuid().safeParse(idOrName).success
      ? idOrName
      : (await views.findOneBy({ name: idOrName.slice(0, 200) }))?.serverId;
    const { state } = await loadState(this.context.store, server, serverId ?? 'unknown');
    if (!serverId || state.status === 'unknown')
      throw new Problem(404, 'SERVER_UNKNOWN', `No server "${idOrName.slice(0, 100)}" is registered.`);
    return answer(serverId, state);
  }
}

function answer(serverId: string, state: Server): object {
  if (state.status === 'unknown') throw new Error('A registered server has no state.');
  const { status: _status, ...registered } = state;
  return { serverId, ...registered };
}

/** The disk is the server's identity at this stage: the same path is the same server. A UUID of version 8 (RFC 9562). */
export function serverIdOf(diskPath: string): string {
  const hash = createHash('sha256').update(`watari server disk ${diskPath}`).digest('hex');
  const variant = ((Number.parseInt(hash.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-${variant}${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
