import { catalogueOf, defineEvent, type EventOf } from '@watari/contracts-base';
import { z } from 'zod';

const text = z.string().min(1).max(500);

/** What was really found on a server: nothing here is typed in by a person. */
export const ServerFacts = z.object({
  hostname: text.optional(),
  operatingSystem: z.object({
    /** osinfo short id, such as debian12; `unknown` where no release is recognised. */
    id: text,
    name: text,
    version: z.string().max(100),
    architecture: text,
  }),
  firmware: z.enum(['bios', 'uefi', 'unknown']),
  partitionTable: z.enum(['mbr', 'gpt', 'none']),
  disks: z
    .array(
      z.object({
        path: text,
        format: z.enum(['raw', 'qcow2']),
        virtualSizeBytes: z.int().positive(),
        allocatedBytes: z.int().nonnegative(),
      }),
    )
    .min(1)
    .max(64),
  rootFileSystem: text,
  kernels: z.array(z.object({ version: text, hasVirtio: z.boolean() })).max(100),
  nics: z.array(z.object({ mac: text, name: text })).max(64),
  applications: z.array(z.object({ name: text, version: z.string().max(200) })).max(500),
  inspectedAt: z.iso.datetime(),
});
export type ServerFacts = z.infer<typeof ServerFacts>;

export const ServerRegistered = defineEvent({
  type: 'server.registered',
  version: 1,
  topic: 'inventory.server',
  key: 'serverId',
  summary: 'A server is known, with what was found on it.',
  data: z.object({
    serverId: z.uuid(),
    name: text,
    /** How to tell that its service answers: tcp:PORT, http:PORT/PATH or console:TEXT. */
    probe: text,
    memoryMiB: z.int().positive(),
    vcpus: z.int().positive(),
    facts: ServerFacts,
    at: z.iso.datetime(),
  }),
});

export const ServerFactsChanged = defineEvent({
  type: 'server.facts-changed',
  version: 1,
  topic: 'inventory.server',
  key: 'serverId',
  summary: 'A later look at the server found something else than the one before.',
  data: z.object({ serverId: z.uuid(), facts: ServerFacts, at: z.iso.datetime() }),
});

export const HostRegistered = defineEvent({
  type: 'host.registered',
  version: 1,
  topic: 'inventory.host',
  key: 'hostId',
  summary: 'A host can run guests; its agent answered.',
  data: z.object({
    hostId: text,
    agentUrl: z.url(),
    data: z.object({ host: text, port: z.int().min(1).max(65535) }),
    platform: z.enum(['kvm']),
    hypervisorVersion: text,
    accelerator: z.enum(['kvm', 'tcg']),
    cpuSockets: z.int().positive(),
    cpuCores: z.int().positive(),
    memoryMiB: z.int().positive(),
    at: z.iso.datetime(),
  }),
});

export const inventoryContracts = [ServerRegistered, ServerFactsChanged, HostRegistered] as const;
export const inventoryCatalogue = catalogueOf(inventoryContracts);
export type InventoryEvent = EventOf<(typeof inventoryContracts)[number]>;
