import { specificationOf } from '@watari/event-sourcing/testing';
import { type Assess, assessment } from './assessment';
import { entitlement } from './entitlement';

const at = '2026-01-15T10:00:00.000Z';
const purchase = (quantity: number, purchaseOrder = 'po-1') => ({
  type: 'RecordPurchase' as const,
  data: { product: 'Windows Server Standard', quantity, purchaseOrder, at },
});
const recorded = (quantity: number, purchaseOrder = 'po-1') => ({
  type: 'PurchaseRecorded' as const,
  data: purchase(quantity, purchaseOrder).data,
});

describe('entitlement', () => {
  const spec = specificationOf(entitlement);
  it('records a purchase', () =>
    spec
      .given([])
      .when(purchase(16))
      .then([recorded(16)]));
  it('counts a purchase order once', () =>
    spec
      .given([recorded(16)])
      .when(purchase(16))
      .then([]));
  it('adds up purchases', () =>
    spec
      .given([recorded(16), recorded(8, 'po-2')])
      .folds({ quantity: 24, purchaseOrders: ['po-1', 'po-2'] }));
  it('refuses a purchase of nothing', () =>
    spec.given([]).when(purchase(0)).rejects('ENTITLEMENT_NOT_POSITIVE'));
});

describe('assessment', () => {
  const spec = specificationOf(assessment);
  const line = (required: number, entitled: number) => ({
    product: 'X',
    metric: 'per-pair-of-instances',
    required,
    entitled,
    derivation: 'd',
    source: 's',
  });
  const assess = (lines: Assess['data']['lines'], unknownProducts: string[] = []): Assess => ({
    type: 'Assess',
    data: { serverId: 's', lines, unknownProducts, at },
  });
  const verdictOf = (command: Assess) => assessment.decide(command, { status: 'open' })[0]?.data.verdict;

  it('finds what is missing', () =>
    spec
      .given([])
      .when(assess([line(3, 1)]))
      .then([
        {
          type: 'AssessmentCompleted',
          data: {
            serverId: 's',
            verdict: 'gap',
            lines: [{ ...line(3, 1), gap: 2 }],
            unknownProducts: [],
            at,
          },
        },
      ]));
  it('is compliant when the entitlement reaches', () =>
    expect(verdictOf(assess([line(3, 3)]))).toBe('compliant'));
  it('is unknown when there is a product without terms', () =>
    expect(verdictOf(assess([line(0, 0)], ['solaris10']))).toBe('unknown'));
  it('says gap, not unknown, when both hold', () =>
    expect(verdictOf(assess([line(1, 0)], ['solaris10']))).toBe('gap'));
  it('answers once', () => {
    const [answered] = assessment.decide(assess([line(0, 0)]), { status: 'open' });
    spec
      .given([answered!])
      .when(assess([line(9, 0)]))
      .then([]);
  });
});
