import { HostRegistered, ServerFactsChanged, ServerRegistered } from '@watari/contracts-inventory';
import { type OutboxRecord, type RawStoredEvent, never, readStored } from '@watari/event-sourcing';
import { publicRecord } from '@watari/service-kit';
import { host } from '../domain/host';
import { server } from '../domain/server';

const SOURCE = 'inventory';

/** Everything that inventory knows is public. */
export function publishInventory(raw: RawStoredEvent): readonly OutboxRecord[] {
  switch (raw.stream.aggregate) {
    case 'server':
      return [publishServer(raw)];
    case 'host':
      return [
        publicRecord(
          HostRegistered,
          { hostId: raw.stream.id, ...readStored(host, raw).event.data },
          raw,
          SOURCE,
        ),
      ];
    default:
      throw new Error(`inventory has no aggregate "${raw.stream.aggregate}".`);
  }
}

function publishServer(raw: RawStoredEvent): OutboxRecord {
  const { event } = readStored(server, raw);
  const serverId = raw.stream.id;
  switch (event.type) {
    case 'ServerRegistered':
      return publicRecord(ServerRegistered, { serverId, ...event.data }, raw, SOURCE);
    case 'ServerFactsChanged':
      return publicRecord(ServerFactsChanged, { serverId, ...event.data }, raw, SOURCE);
    default:
      return never(event);
  }
}
