import { randomUUID } from 'node:crypto';
import { Assignment } from '@watari/contracts-migration-execution';
import { type Cause, loadState, runCommand } from '@watari/event-sourcing';
import type { InventoryMirror } from '@watari/inventory-mirror';
import { Problem, type ServiceContext } from '@watari/service-kit';
import { z } from 'zod';
import { migration } from '../domain/migration';
import { placement } from '../domain/placement';

export const PlanBody = z.strictObject({
  serverId: z.uuid(),
  targetHostId: z.string().min(1).max(200),
  ...Assignment.pick({ downtimeLimitMs: true, bandwidthBytesPerSecondMax: true, throttlePercentMax: true })
    .shape,
  waivers: z
    .array(
      z.strictObject({
        concern: z.string().min(1).max(300),
        person: z.string().min(1).max(200),
        reason: z.string().min(1).max(1000),
        expiresAt: z.iso.datetime(),
      }),
    )
    .max(50)
    .default([]),
});

/** Makes assignments of what is known of a server now, and sees to it that one migration at a time has it. */
export class Planner {
  constructor(
    private readonly context: ServiceContext,
    private readonly mirror: InventoryMirror,
  ) {}

  /** Answers the id of the migration. The same command id plans the same migration once. */
  async plan(body: z.infer<typeof PlanBody>, cause: Cause): Promise<string> {
    const { waivers } = body;
    const assignment = await this.assign(body);
    const migrationId = z.uuid().safeParse(cause.commandId).success ? cause.commandId : randomUUID();
    const at = this.context.now().toISOString();
    await runCommand(
      this.context.store,
      migration,
      migrationId,
      { type: 'PlanMigration', data: { assignment, waivers, at } },
      { ...cause, correlationId: migrationId },
    );
    return migrationId;
  }

  /** Holds the server for this migration. Throws Rejected SERVER_BUSY while another one is under way. */
  async hold(migrationId: string, serverId: string, cause: Cause): Promise<void> {
    const { store } = this.context;
    const { state } = await loadState(store, placement, serverId);
    const holderIsOver = state.heldBy === undefined || (await this.isOver(state.heldBy));
    const at = this.context.now().toISOString();
    await runCommand(
      store,
      placement,
      serverId,
      { type: 'HoldServer', data: { migrationId, holderIsOver, at } },
      // Of its own: the caller's id names the start.
      { commandId: `hold:${migrationId}`, correlationId: migrationId, causationId: cause.causationId },
    );
  }

  private async isOver(migrationId: string): Promise<boolean> {
    const { state } = await loadState(this.context.store, migration, migrationId);
    return state.status === 'completed' || state.status === 'rolled-back';
  }

  private async assign({
    serverId,
    targetHostId,
    downtimeLimitMs,
    bandwidthBytesPerSecondMax,
    throttlePercentMax,
  }: z.infer<typeof PlanBody>): Promise<Assignment> {
    const server = await this.mirror.findServer(serverId);
    if (!server)
      throw new Problem(404, 'SERVER_UNKNOWN', `No server ${serverId} is known here; register it first.`);
    if (!(await this.mirror.findHost(targetHostId)))
      throw new Problem(404, 'HOST_UNKNOWN', `No host "${targetHostId}" is known here; register it first.`);
    const { state } = await loadState(this.context.store, placement, serverId);
    const common = {
      serverId,
      targetHostId,
      platform: 'kvm' as const,
      probe: server.probe,
      ...(downtimeLimitMs !== undefined && { downtimeLimitMs }),
      ...(bandwidthBytesPerSecondMax !== undefined && { bandwidthBytesPerSecondMax }),
      ...(throttlePercentMax !== undefined && { throttlePercentMax }),
    };
    if (state.place) {
      const { hostId, disk, mac } = state.place;
      if (hostId === targetHostId)
        throw new Problem(409, 'SERVER_ALREADY_THERE', `${server.name} runs on ${hostId} already.`);
      return { ...common, kind: 'live', source: { disk, mac, hostId } };
    }
    const [disk] = server.facts.disks;
    if (!disk) throw new Problem(409, 'SERVER_HAS_NO_DISK', `${server.name} has no disk to move.`);
    const mac = server.facts.nics[0]?.mac;
    const { path, format } = disk;
    return { ...common, kind: 'cold', source: { disk: { path, format }, ...(mac && { mac }) } };
  }
}
