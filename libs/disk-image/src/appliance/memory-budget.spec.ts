import { MemoryBudget } from './memory-budget';

const settled = async (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);

describe('the memory of appliances', () => {
  it('is given at once as long as there is some, and then in the order they asked', async () => {
    const budget = new MemoryBudget(1000);
    const giveBack = await budget.take(600);
    const large = budget.take(500);
    const small = budget.take(100);
    expect(await settled(large)).toBe(false);
    expect(await settled(small)).toBe(false);
    giveBack();
    giveBack();
    await large;
    await small;
    expect(await settled(budget.take(500))).toBe(false);
  });

  it('is not waited for when it can never be enough', async () => {
    await expect(new MemoryBudget(1000).take(1001)).rejects.toMatchObject({ code: 'APPLIANCE_OVER_BUDGET' });
  });

  it('goes to those behind when somebody stops waiting', async () => {
    const budget = new MemoryBudget(1000);
    await budget.take(800);
    const controller = new AbortController();
    const large = budget.take(300, controller.signal);
    const small = budget.take(200);
    controller.abort(new Error('enough of it'));
    await expect(large).rejects.toThrow('enough of it');
    await expect(small).resolves.toBeInstanceOf(Function);
  });
});
