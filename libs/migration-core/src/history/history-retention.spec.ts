import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeGuest, HistoryFixture, keepSample, NOW_MS } from './testing/sample-history';

const fixture = new HistoryFixture();
beforeEach(() => fixture.make());
afterEach(() => fixture.remove());
const guest = describeGuest();

async function historyFiles(): Promise<string[]> {
  const names = await readdir(fixture.folder, { recursive: true, withFileTypes: true });
  return names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('histories that must go', () => {
  const guests = [1, 2, 3].map((age) =>
    describeGuest({ guestId: `guest-${age}`, savedAtMs: NOW_MS - 100 * age }),
  );

  it('go by command, and leave no file', async () => {
    const store = await fixture.open();
    await keepSample(store, guest);
    expect(await store.remove(guest.guestId)).toBe(true);
    expect(await store.remove(guest.guestId)).toBe(false);
    expect(await readdir(fixture.folder)).toHaveLength(0);
    expect(await store.open(guest.guestId, guest.scope)).toBeNull();
  });

  it('lose their key before their files go', async () => {
    const store = await fixture.open();
    await keepSample(store, guest);
    const manifest = await open(
      (await historyFiles()).find((path) => path.endsWith('manifest.json'))!,
      'r',
    );
    const { size } = await manifest.stat();
    await store.remove(guest.guestId);
    const left = Buffer.alloc(size, 1);
    await manifest.read(left, 0, size, 0);
    await manifest.close();
    expect(left.equals(Buffer.alloc(size))).toBe(true);
  });

  it('go when they expire, and are not opened from then on', async () => {
    let nowMs = NOW_MS;
    const store = await fixture.open({ nowMs: () => nowMs });
    for (const description of guests) await keepSample(store, description);
    expect(await store.expire()).toBe(0);
    nowMs = NOW_MS + 850;
    expect(await store.open('guest-2', guest.scope)).toBeNull();
    expect(fixture.logged.at(-1)).toContain('expired');
    expect(await store.expire()).toBe(2);
    expect((await store.list()).map(({ description }) => description.guestId)).toEqual(['guest-1']);
  });

  it('go also when the clock was set back', async () => {
    const store = await fixture.open();
    await keepSample(store, guest);
    expect(await store.expire(NOW_MS - 5_000)).toBe(1);
  });

  it('go oldest first when the budget is used up', async () => {
    const first = await fixture.open();
    for (const description of guests) await keepSample(first, description);
    const each = first.bytes / 3;
    const store = await fixture.open({ bytesMax: 3.5 * each });
    expect(store.bytes).toBe(first.bytes);
    const { outcome } = await keepSample(store, guest);
    expect(outcome.isKept).toBe(true);
    expect((await store.list()).map(({ description }) => description.guestId)).toEqual([
      'guest-2',
      'guest-1',
      guest.guestId,
    ]);
    expect(store.bytes).toBeLessThanOrEqual(3.5 * each);
    let onDisk = 0;
    for (const file of await historyFiles()) onDisk += (await stat(file)).size;
    expect(onDisk).toBe(store.bytes);
  });

  it('give way first when they are of the guest whose next one is written', async () => {
    const first = await fixture.open();
    for (const description of guests) await keepSample(first, description);
    const store = await fixture.open({ bytesMax: 3.2 * (first.bytes / 3) });
    await keepSample(store, guests[0]!, 7);
    expect(await store.list()).toHaveLength(3);
  });

  it('are refused when one alone exceeds the budget', async () => {
    const store = await fixture.open({ bytesMax: 1_000_000 });
    const { outcome } = await keepSample(store, guest);
    expect(outcome).toMatchObject({ isKept: false, code: 'HISTORY_TOO_LARGE' });
    expect(await readdir(fixture.folder)).toHaveLength(0);
    expect(store.bytes).toBe(0);
    await expect(store.begin(guest.guestId, guest, { bytesExpected: 1_000_001 })).rejects.toMatchObject({
      code: 'HISTORY_TOO_LARGE',
    });
  });
});

describe('a description', () => {
  it.each([
    ['a size of 2^53', { blocks: [{ name: 'a', bytes: 2 ** 53 }] }],
    ['sizes that add up to too much', { blocks: ['a', 'b', 'c'].map((name) => ({ name, bytes: 2 ** 41 })) }],
    [
      'a million blocks',
      { blocks: Array.from({ length: 1_000_000 }, (_, n) => ({ name: `${n}`, bytes: 4_096 })) },
    ],
    ['no block', { blocks: [] }],
    ['two blocks of one name', { blocks: [1, 2].map(() => ({ name: 'a', bytes: 4_096 })) }],
    ['half a page', { blocks: [{ name: 'a', bytes: 2_048 }] }],
    ['no bytes', { blocks: [{ name: 'a', bytes: 0 }] }],
    ['an id with a path', { historyId: '../../../../etc/passwd' }],
    ['a time that is none', { savedAtMs: Number.NaN }],
    ['no scope', { scope: '' }],
    ['chunks of another size', { chunkPages: 256 as 512 }],
  ])('is refused with %s', async (_what, more) => {
    const store = await fixture.open();
    await expect(store.begin(guest.guestId, describeGuest(more))).rejects.toMatchObject({
      code: 'HISTORY_DESCRIPTION_INVALID',
    });
    expect(await readdir(fixture.folder)).toHaveLength(0);
  });

  it('is refused for another guest', async () => {
    await expect((await fixture.open()).begin('guest-2', guest)).rejects.toMatchObject({
      code: 'HISTORY_DESCRIPTION_INVALID',
    });
  });
});
