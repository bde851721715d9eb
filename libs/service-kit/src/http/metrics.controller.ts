import { Controller, Get, Header, Inject } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { PartitionLag } from '@watari/event-bus';

/** What one service of this process can be measured by. */
export interface ServiceGauges {
  readonly service: string;
  /** Stored events that the bus has not taken yet. */
  outboxLagEvents(): number;
  /** Records that each consumer group has not handled yet. */
  consumerLags(): Promise<readonly { readonly group: string; readonly lags: readonly PartitionLag[] }[]>;
}
export const SERVICE_GAUGES = Symbol('ServiceGauges');

@ApiTags('operations')
@ApiBearerAuth()
@Controller('metrics')
export class MetricsController {
  constructor(@Inject(SERVICE_GAUGES) private readonly services: readonly ServiceGauges[]) {}

  @Get()
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  @ApiOperation({ summary: 'Lag of outboxes and consumers, in the Prometheus text format.' })
  async read(): Promise<string> {
    const lines = [
      '# HELP watari_outbox_lag_events Stored events that the bus has not taken yet.',
      '# TYPE watari_outbox_lag_events gauge',
      ...this.services.map(
        (each) => `watari_outbox_lag_events{service="${each.service}"} ${each.outboxLagEvents()}`,
      ),
      '# HELP watari_consumer_lag_records Records that a consumer group has not handled yet.',
      '# TYPE watari_consumer_lag_records gauge',
    ];
    for (const service of this.services) {
      for (const { group, lags } of await service.consumerLags()) {
        for (const { topic, partition, records } of lags)
          lines.push(
            `watari_consumer_lag_records{service="${service.service}",group="${group}",topic="${topic}",partition="${partition}"} ${records}`,
          );
      }
    }
    return `${lines.join('\n')}\n`;
  }
}
