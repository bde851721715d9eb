import { Controller, Delete, Get, HttpCode, Inject, Param } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { type AgentHistory, type HostAgentClient, IdSchema } from '@watari/host-agent-client';
import { InventoryMirror } from '@watari/inventory-mirror';
import { Problem } from '@watari/service-kit';
import { HOST_AGENTS, type HostAgents } from '../ports';

/** What guests that moved left on hosts, so that they come back cheaply. It is the hosts'; nothing of it is here. */
@ApiTags('migration-execution')
@ApiBearerAuth()
@Controller('histories')
export class HistoriesController {
  constructor(
    @Inject(HOST_AGENTS) private readonly agents: HostAgents,
    @Inject(InventoryMirror) private readonly mirror: InventoryMirror,
  ) {}

  @Get(':hostId')
  @ApiOperation({ summary: "What guests that moved left on a host. A guest's id is that of its server." })
  list(@Param('hostId') hostId: string): Promise<AgentHistory[]> {
    return this.ask(hostId, (agent) => agent.listHistories());
  }

  @Delete(':hostId/:serverId')
  @HttpCode(204)
  @ApiOperation({ summary: "Deletes it: the server's next move from or to this host begins with nothing." })
  remove(@Param('hostId') hostId: string, @Param('serverId') serverId: string): Promise<void> {
    const id = IdSchema.safeParse(serverId);
    if (!id.success)
      throw new Problem(422, 'COMMAND_INVALID', `"${serverId.slice(0, 100)}" is no id of a server.`);
    return this.ask(hostId, (agent) => agent.deleteHistory(id.data));
  }

  private async ask<Answer>(
    hostId: string,
    question: (agent: HostAgentClient) => Promise<Answer>,
  ): Promise<Answer> {
    if (!(await this.mirror.findHost(hostId)))
      throw new Problem(
        404,
        'HOST_UNKNOWN',
        `No host "${hostId.slice(0, 100)}" is known here; register it first.`,
      );
    const agent = await this.agents.open(hostId);
    try {
      return await question(agent);
    } finally {
      agent.close();
    }
  }
}
