import { z } from 'zod';
import { catalogueOf, decodeEvent, defineEvent, encodeEvent } from './index';

const data = z.object({ shipId: z.string(), at: z.iso.datetime(), crew: z.int().positive() });
const ShipSailed = defineEvent({
  type: 'ship.sailed',
  version: 3,
  topic: 'harbour.ship',
  key: 'shipId',
  summary: 'A ship left.',
  data,
  upcasts: { 1: (v1) => ({ ...v1, crew: 1 }), 2: (v2) => ({ ...v2, crew: Number(v2['crew']) + 1 }) },
});
const catalogue = catalogueOf([ShipSailed]);
const attributes = {
  id: 'e1',
  source: 'harbour',
  time: '2026-01-01T00:00:00Z',
  correlationId: 'c',
  causationId: 'k',
};
const good = encodeEvent(ShipSailed, { shipId: 's1', at: '2026-01-01T00:00:00Z', crew: 7 }, attributes);

describe('defineEvent', () => {
  const declaration = {
    type: 'ship.sailed',
    topic: 'harbour.ship',
    key: 'shipId' as const,
    summary: '',
    data,
  };

  it('refuses a version without an upcast from every older one', () => {
    expect(() => defineEvent({ ...declaration, version: 3, upcasts: { 1: (v) => v } })).toThrow(
      'no upcast from version 2',
    );
  });

  it('refuses names that are not kebab-case', () => {
    expect(() => defineEvent({ ...declaration, type: 'ShipSailed', version: 1 })).toThrow('kebab-case');
    expect(() => defineEvent({ ...declaration, topic: 'harbour', version: 1 })).toThrow('kebab-case');
  });

  it('refuses two events of one type', () => {
    expect(() => catalogueOf([ShipSailed, ShipSailed])).toThrow('declared twice');
  });
});

describe('decodeEvent', () => {
  it('upcasts step by step, then checks once', () => {
    const headers = { ...good.headers, ce_dataversion: '1' };
    const event = decodeEvent(
      { ...good, headers, value: '{"shipId":"s1","at":"2026-01-01T00:00:00Z"}' },
      catalogue,
    );
    expect(event.data).toEqual({ shipId: 's1', at: '2026-01-01T00:00:00Z', crew: 2 });
    expect(event.version).toBe(3);
  });

  it('ignores fields that it does not know, so that producers may add them', () => {
    const value = JSON.stringify({ ...(JSON.parse(good.value) as object), flag: 'liberia' });
    expect(decodeEvent({ ...good, value }, catalogue).data).not.toHaveProperty('flag');
  });

  it.each([
    ['an unknown type', { headers: { ...good.headers, ce_type: 'ship.sunk' } }, 'EVENT_TYPE_UNKNOWN'],
    ['a newer version', { headers: { ...good.headers, ce_dataversion: '4' } }, 'EVENT_VERSION_NEWER'],
    [
      'a version that is no number',
      { headers: { ...good.headers, ce_dataversion: 'two' } },
      'EVENT_VERSION_INVALID',
    ],
    ['a missing id', { headers: { ...good.headers, ce_id: '' } }, 'EVENT_HEADER_MISSING'],
    ['a value that is no JSON', { value: '{' }, 'EVENT_MALFORMED'],
    ['a value that is no object', { value: '[]' }, 'EVENT_MALFORMED'],
    ['a field of the wrong type', { value: '{"shipId":"s1","at":"yesterday","crew":1}' }, 'EVENT_MALFORMED'],
    ['a value over the limit', { value: `{"pad":"${'x'.repeat(1_000_000)}"}` }, 'EVENT_TOO_LARGE'],
  ])('refuses %s with its own code', (_name, change, code) => {
    expect(() => decodeEvent({ ...good, ...change }, catalogue)).toThrow(
      expect.objectContaining({ code, canRetry: false }),
    );
  });
});
