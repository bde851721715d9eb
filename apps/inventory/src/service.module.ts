import { HostRegistered, ServerRegistered } from '@watari/contracts-inventory';
import type { ServiceDefinition } from '@watari/service-kit';
import { HostsController } from './inbound/hosts.controller';
import { ServersController } from './inbound/servers.controller';
import { createAgentDirectory } from './outbound/agent-directory';
import { createDiskInspector } from './outbound/disk-inspector';
import { publishInventory } from './outbound/inventory.publisher';
import {
  HostView,
  InventoryViews1764000001000,
  ServerView,
  inventoryViews,
} from './outbound/inventory.views';
import { AGENT_DIRECTORY, DISK_INSPECTOR } from './ports';

/** What there is: servers, with what was found on them, and hosts that can run guests. */
export const inventoryService: ServiceDefinition = {
  name: 'inventory',
  description: 'Watari inventory: servers and hosts',
  topics: [ServerRegistered.topic, HostRegistered.topic],
  reads: [],
  entities: [ServerView, HostView],
  migrations: () => [InventoryViews1764000001000],
  create: (context) => ({
    controllers: [ServersController, HostsController],
    providers: [
      { provide: DISK_INSPECTOR, useFactory: createDiskInspector },
      { provide: AGENT_DIRECTORY, useFactory: () => createAgentDirectory(() => context.agentTls()) },
    ],
    publish: publishInventory,
    projections: [inventoryViews],
  }),
};
