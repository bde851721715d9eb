import { Controller, Get, Inject, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Cause, runCommand } from '@watari/event-sourcing';
import {
  ApiCommand,
  CommandBody,
  RequestCause,
  SERVICE_CONTEXT,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { host } from '../domain/host';
import { HostView } from '../outbound/inventory.views';
import { AGENT_DIRECTORY, type AgentDirectory } from '../ports';

const RegisterHostBody = z.strictObject({ agentUrl: z.url({ protocol: /^https$/ }).max(500) });
const HostAnswer = z.object({
  hostId: z.string(),
  agentUrl: z.string(),
  hypervisorVersion: z.string(),
  accelerator: z.string(),
});

@ApiTags('inventory')
@ApiBearerAuth()
@Controller('hosts')
export class HostsController {
  constructor(
    @Inject(SERVICE_CONTEXT) private readonly context: ServiceContext,
    @Inject(AGENT_DIRECTORY) private readonly agents: AgentDirectory,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Ask the agent at this address what its host is, and register the host.' })
  @ApiCommand({ body: RegisterHostBody, answer: HostAnswer, status: 201 })
  async register(
    @CommandBody(RegisterHostBody) { agentUrl }: z.infer<typeof RegisterHostBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    const { hostId, ...facts } = await this.agents.describe(agentUrl);
    const at = this.context.now().toISOString();
    await runCommand(
      this.context.store,
      host,
      hostId,
      { type: 'RegisterHost', data: { ...facts, at } },
      cause,
    );
    return { hostId, ...facts };
  }

  @Get()
  @ApiOperation({ summary: 'All registered hosts.' })
  async list(): Promise<object[]> {
    return this.context.dataSource.getRepository(HostView).find({ order: { hostId: 'ASC' }, take: 1000 });
  }
}
