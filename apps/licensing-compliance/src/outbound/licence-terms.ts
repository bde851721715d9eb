import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadState } from '@watari/event-sourcing';
import type { InventoryMirror } from '@watari/inventory-mirror';
import type { ServiceContext } from '@watari/service-kit';
import { parse } from 'yaml';
import type { Assess } from '../domain/assessment';
import { entitlement } from '../domain/entitlement';
import { ProductPack, productsOn, requiredFor } from '../domain/terms';

/** The terms of this installation, applied to what inventory told and what was bought. */
export class LicenceTerms {
  private readonly pack = ProductPack.parse(
    parse(readFileSync(join(__dirname, '../../packs/products.yaml'), 'utf8')),
  );

  constructor(
    private readonly context: ServiceContext,
    private readonly mirror: InventoryMirror,
  ) {}

  knows(product: string): boolean {
    return this.pack.products.some((known) => known.product === product);
  }

  /** Rejects with a retriable error while inventory's events about server or host are still on their way. */
  async assess(serverId: string, hostId: string): Promise<Assess> {
    const server = await this.mirror.expectServer(serverId);
    const host = await this.mirror.expectHost(hostId);
    const estate = {
      operatingSystemId: server.facts.operatingSystem.id,
      packages: server.facts.applications.map(({ name }) => name),
      vcpus: server.vcpus,
      host: { cpuSockets: host.cpuSockets, cpuCores: host.cpuCores },
    };
    const { found, unknown } = productsOn(estate, this.pack);
    const lines = await Promise.all(
      found.map(async ({ product, metric, source }) => {
        const { state } = await loadState(this.context.store, entitlement, product);
        return { product, metric, entitled: state.quantity, source, ...requiredFor(metric, estate) };
      }),
    );
    return {
      type: 'Assess',
      data: { serverId, lines, unknownProducts: unknown, at: this.context.now().toISOString() },
    };
  }
}
