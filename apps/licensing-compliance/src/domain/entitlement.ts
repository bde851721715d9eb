import { Rejected, defineAggregate, never } from '@watari/event-sourcing';

/** What was bought of one product, purchase by purchase. */
export interface RecordPurchase {
  readonly type: 'RecordPurchase';
  readonly data: {
    readonly product: string;
    readonly quantity: number;
    readonly purchaseOrder: string;
    readonly at: string;
  };
}

export interface PurchaseRecorded {
  readonly type: 'PurchaseRecorded';
  readonly data: RecordPurchase['data'];
}

export interface Entitlement {
  readonly quantity: number;
  readonly purchaseOrders: readonly string[];
}

export const entitlement = defineAggregate<Entitlement, RecordPurchase, PurchaseRecorded>({
  name: 'entitlement',
  initialState: { quantity: 0, purchaseOrders: [] },
  events: { PurchaseRecorded: { version: 1 } },
  decide: (command, state) => {
    switch (command.type) {
      case 'RecordPurchase': {
        const { quantity, purchaseOrder } = command.data;
        if (state.purchaseOrders.includes(purchaseOrder)) return [];
        if (quantity <= 0)
          throw new Rejected('ENTITLEMENT_NOT_POSITIVE', 'A purchase is of at least one licence.');
        return [{ type: 'PurchaseRecorded', data: command.data }];
      }
      default:
        return never(command.type);
    }
  },
  evolve: (state, event) => {
    switch (event.type) {
      case 'PurchaseRecorded':
        return {
          quantity: state.quantity + event.data.quantity,
          purchaseOrders: [...state.purchaseOrders, event.data.purchaseOrder],
        };
      default:
        return never(event.type);
    }
  },
});
