import { randomUUID } from 'node:crypto';
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { LicenceLine } from '@watari/contracts-licensing-compliance';
import { type Cause, loadState, runCommand } from '@watari/event-sourcing';
import { InventoryMirror } from '@watari/inventory-mirror';
import {
  ApiCommand,
  CommandBody,
  Problem,
  RequestCause,
  SERVICE_CONTEXT,
  type ServiceContext,
} from '@watari/service-kit';
import { z } from 'zod';
import { assessment } from '../domain/assessment';
import { entitlement } from '../domain/entitlement';
import { LicenceTerms } from '../outbound/licence-terms';

const AssessBody = z.strictObject({ serverId: z.uuid(), targetHostId: z.string().min(1).max(200) });
const AssessAnswer = z.object({
  assessmentId: z.string(),
  verdict: z.enum(['compliant', 'gap', 'unknown']),
  lines: z.array(LicenceLine),
  unknownProducts: z.array(z.string()),
});
const PurchaseBody = z.strictObject({
  product: z.string().min(1).max(200),
  quantity: z.int().positive().max(10_000_000),
  purchaseOrder: z.string().min(1).max(200),
});
const EntitlementAnswer = z.object({
  product: z.string(),
  quantity: z.int(),
  purchaseOrders: z.array(z.string()),
});

@ApiTags('licensing-compliance')
@ApiBearerAuth()
@Controller()
export class LicencesController {
  constructor(
    @Inject(SERVICE_CONTEXT) private readonly context: ServiceContext,
    @Inject(LicenceTerms) private readonly terms: LicenceTerms,
    @Inject(InventoryMirror) private readonly mirror: InventoryMirror,
  ) {}

  @Post('licence-assessments')
  @ApiOperation({
    summary: 'Is moving this server to that host covered? The answer is recorded and published.',
  })
  @ApiCommand({ body: AssessBody, answer: AssessAnswer, status: 201 })
  async assess(
    @CommandBody(AssessBody) { serverId, targetHostId }: z.infer<typeof AssessBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    if (!(await this.mirror.findServer(serverId)))
      throw new Problem(404, 'SERVER_UNKNOWN', `No server ${serverId} is known here; register it first.`);
    if (!(await this.mirror.findHost(targetHostId)))
      throw new Problem(404, 'HOST_UNKNOWN', `No host "${targetHostId}" is known here; register it first.`);
    const assessmentId = randomUUID();
    await runCommand(
      this.context.store,
      assessment,
      assessmentId,
      await this.terms.assess(serverId, targetHostId),
      cause,
    );
    return this.get(assessmentId);
  }

  @Get('licence-assessments/:assessmentId')
  @ApiOperation({ summary: 'What was answered; for a migration, under its id.' })
  @ApiCommand({ answer: AssessAnswer })
  async get(@Param('assessmentId') assessmentId: string): Promise<object> {
    const { state } = await loadState(this.context.store, assessment, assessmentId.slice(0, 100) || 'none');
    if (state.status === 'open')
      throw new Problem(404, 'ASSESSMENT_UNKNOWN', 'No assessment of this id was made.');
    const { status: _status, ...answered } = state;
    return { assessmentId, ...answered };
  }

  @Post('entitlements')
  @ApiOperation({ summary: 'Record what was bought.' })
  @ApiCommand({ body: PurchaseBody, answer: EntitlementAnswer, status: 201 })
  async purchase(
    @CommandBody(PurchaseBody) body: z.infer<typeof PurchaseBody>,
    @RequestCause() cause: Cause,
  ): Promise<object> {
    if (!this.terms.knows(body.product)) {
      throw new Problem(422, 'PRODUCT_UNKNOWN', `No licence terms are held for "${body.product}".`, [
        { field: 'product', message: 'is in no pack' },
      ]);
    }
    const command = {
      type: 'RecordPurchase' as const,
      data: { ...body, at: this.context.now().toISOString() },
    };
    const { state } = await runCommand(this.context.store, entitlement, body.product, command, cause);
    return { product: body.product, ...state };
  }

  @Get('entitlements/:product')
  @ApiOperation({ summary: 'What is held of one product.' })
  @ApiCommand({ answer: EntitlementAnswer })
  async entitlement(@Param('product') product: string): Promise<object> {
    if (!this.terms.knows(product))
      throw new Problem(404, 'PRODUCT_UNKNOWN', `No licence terms are held for "${product.slice(0, 100)}".`);
    const { state } = await loadState(this.context.store, entitlement, product);
    return { product, ...state };
  }
}
