import type { BusRecord } from '../event-bus';
import { assertRecord } from '../limits';
import { toDeadLetter } from './dead-letters';

const record: BusRecord = {
  ...{ topic: 'orders', partition: 3, offset: 42n, key: 'k', headers: { ce_id: 'e1' }, at: new Date(0) },
  value: Buffer.from('{}'),
};

describe('toDeadLetter', () => {
  it('keeps the record and tells the reason beside it', () => {
    const error = Object.assign(new Error('no such type'), { code: 'EVENT_TYPE_UNKNOWN' });
    expect(toDeadLetter(record, error, 'g', 1)).toEqual({
      key: 'k',
      value: record.value,
      headers: {
        ce_id: 'e1',
        dl_group: 'g',
        dl_topic: 'orders',
        dl_partition: '3',
        dl_offset: '42',
        dl_code: 'EVENT_TYPE_UNKNOWN',
        dl_reason: 'no such type',
        dl_attempts: '1',
      },
    });
  });

  it.each<[string, Partial<BusRecord>, unknown]>([
    ['no key', { key: '' }, new Error('x')],
    ['a key of nothing but NUL characters', { key: '\0\0' }, new Error('x')],
    ['a key beyond the limit, of letters of four bytes', { key: '😀'.repeat(2000) }, new Error('x')],
    ['a value beyond the limit', { value: Buffer.alloc(1_048_588) }, new Error('x')],
    [
      'more headers than we take, and longer ones',
      { headers: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`h${n}`, 'x'.repeat(n * 20)])) },
      new Error('x'),
    ],
    ['headers with NUL characters', { headers: { 'a\0': '\0b' } }, new Error('x')],
    ['a reason that is too long, with NUL characters', {}, new Error('\0é'.repeat(5000))],
    ['something thrown that is no error', {}, 'a string'],
    ['nothing thrown at all', {}, undefined],
  ])('makes a record that can be posted of one with %s', (_, odd, error) => {
    expect(() => assertRecord('dead', toDeadLetter({ ...record, ...odd }, error, 'g', 2))).not.toThrow();
  });

  it('says how long a value was that had to be cut', () => {
    const { headers, value } = toDeadLetter(
      { ...record, value: Buffer.alloc(1_000_001) },
      new Error('x'),
      'g',
      1,
    );
    expect(headers['dl_cut-from-bytes']).toBe('1000001');
    expect(value).toHaveLength(1_000_000);
  });
});
