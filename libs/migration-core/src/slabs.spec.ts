import { Slabs } from './slabs';

const MIB = 1024 * 1024;

it('lends the memory again that was given back, and no other', () => {
  const slabs = new Slabs();
  const first = slabs.take(300_000);
  const second = slabs.take(300_000);
  expect(second.buffer).not.toBe(first.buffer);
  slabs.give(first);
  const third = slabs.take(290_000);
  expect(third).toHaveLength(290_000);
  expect(third.buffer).toBe(first.buffer);
});

it('lends nothing twice that was given back twice', () => {
  const slabs = new Slabs();
  const bytes = slabs.take(MIB);
  slabs.give(bytes);
  slabs.give(bytes.subarray(10, 20));
  expect(slabs.take(MIB).buffer).toBe(bytes.buffer);
  expect(slabs.take(MIB).buffer).not.toBe(bytes.buffer);
});

it('takes a part of what it lent for the whole, and passes over what it did not lend', () => {
  const slabs = new Slabs();
  const bytes = slabs.take(100_000);
  slabs.give(bytes.subarray(5_000, 6_000));
  expect(slabs.take(100_000).buffer).toBe(bytes.buffer);
  const foreign = new Uint8Array(131_072);
  slabs.give(foreign);
  expect(slabs.take(131_072).buffer).not.toBe(foreign.buffer);
});

it('keeps no more than it may', () => {
  const slabs = new Slabs(2 * MIB);
  const lent = [1, 2, 3].map(() => slabs.take(MIB));
  for (const bytes of lent) slabs.give(bytes);
  const again = [1, 2, 3].map(() => slabs.take(MIB).buffer);
  expect(again.filter((buffer) => lent.some((bytes) => bytes.buffer === buffer))).toHaveLength(2);
});

it('makes small buffers anew, zeroed', () => {
  const slabs = new Slabs();
  const small = slabs.take(100);
  small.fill(1);
  slabs.give(small);
  expect(slabs.take(100)).toEqual(new Uint8Array(100));
});
