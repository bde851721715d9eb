import type { BusUnderTest } from './bus-under-test';
import { deliveryContract } from './delivery-contract';
import { failureContract } from './failure-contract';
import { membershipContract } from './membership-contract';
import { TestService } from './test-service';

/** What every adapter of the EventBus has to keep, and what is to be seen of one alone. To be called in a `describe`. */
export function busContract(
  open: () => Promise<BusUnderTest>,
  options: { readonly canStopBroker: boolean },
  ownTests?: (service: () => TestService, underTest: () => BusUnderTest) => void,
): void {
  jest.setTimeout(60_000);
  let underTest: BusUnderTest;
  let service: TestService;

  beforeAll(async () => {
    underTest = await open();
    service = await TestService.open(underTest.databaseUrl, underTest.reach);
  }, 180_000);

  afterAll(async () => {
    await service?.close();
    await underTest?.close();
  }, 60_000);

  ownTests?.(
    () => service,
    () => underTest,
  );
  describe('delivery', () => deliveryContract(() => service));
  describe('failure', () => failureContract(() => service));
  describe('membership', () =>
    membershipContract(
      () => service,
      () => underTest,
      options,
    ));
}
