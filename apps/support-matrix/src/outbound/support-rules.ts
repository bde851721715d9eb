import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Concern } from '@watari/contracts-support-matrix';
import type { InventoryMirror } from '@watari/inventory-mirror';
import { parse } from 'yaml';
import { type Evaluate, RulePack, compilePack } from '../domain/rules';

export interface Question {
  readonly serverId: string;
  readonly hostId: string;
  readonly kind: 'cold' | 'live';
  readonly now: Date;
}

/** The rule packs of this installation, asked about what inventory told. */
export class SupportRules {
  private readonly evaluate: Evaluate;

  constructor(private readonly mirror: InventoryMirror) {
    this.evaluate = compilePack(
      RulePack.parse(parse(readFileSync(join(__dirname, '../../packs/kvm.yaml'), 'utf8'))),
    );
  }

  /** Rejects with a retriable error while inventory's events about server or host are still on their way. */
  async concernsOf({ serverId, hostId, kind, now }: Question): Promise<Concern[]> {
    const server = await this.mirror.expectServer(serverId);
    const host = await this.mirror.expectHost(hostId);
    const { name, memoryMiB, facts } = server;
    return this.evaluate({
      now,
      migration: { kind },
      server: { name, memoryMiB, ...facts },
      host: {
        id: host.hostId,
        accelerator: host.accelerator,
        hypervisorVersion: host.hypervisorVersion,
        hypervisorMajor: majorOf(host.hypervisorVersion),
        memoryMiB: host.memoryMiB,
      },
    });
  }
}

function majorOf(version: string): number | undefined {
  const major = /^(\d{1,4})\./.exec(version)?.[1];
  return major === undefined ? undefined : Number(major);
}
