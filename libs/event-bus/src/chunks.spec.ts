import { chunksOf } from './chunks';

const record = (key: string, bytes: number) => ({ key, headers: {}, value: 'x'.repeat(bytes) });
const keysOf = (records: ReturnType<typeof record>[], recordsMax: number, bytesMax: number) =>
  [...chunksOf(records, { recordsMax, bytesMax })].map((chunk) => chunk.map(({ key }) => key));

describe('chunks of records', () => {
  it('are none when there are no records', () => expect(keysOf([], 10, 10)).toEqual([]));

  it('end at the greatest count, in order', () =>
    expect(keysOf([record('a', 1), record('b', 1), record('c', 1)], 2, 100)).toEqual([['a', 'b'], ['c']]));

  it('end before they grow too large', () =>
    expect(keysOf([record('a', 6), record('b', 5), record('c', 5)], 10, 10)).toEqual([['a'], ['b', 'c']]));

  it('hold one record that is too large by itself', () =>
    expect(keysOf([record('a', 1), record('b', 50), record('c', 1)], 10, 10)).toEqual([['a'], ['b'], ['c']]));
});
