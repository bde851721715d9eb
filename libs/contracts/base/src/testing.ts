/// <reference types="jest" />
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { catalogueOf, type EventContract } from './define-event';
import { decodeEvent, encodeEvent } from './envelope';

/**
 * The specification that every contracts project runs over itself (inside Jest): a sample of every version of
 * every event must still be readable, and the latest sample must survive writing and reading unchanged.
 * `folder` holds `samples/<type>.v<version>.json`.
 */
export function describeContracts(folder: string, contracts: readonly EventContract[]): void {
  const catalogue = catalogueOf(contracts);
  const sample = (type: string, version: number): Record<string, unknown> => {
    const path = join(folder, 'samples', `${type}.v${version}.json`);
    if (!existsSync(path))
      throw new Error(`Add a sample of ${type} version ${version}: samples/${type}.v${version}.json`);
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  };
  const attributes = {
    id: 'event-1',
    source: 'specification',
    time: '2026-01-01T00:00:00.000Z',
    correlationId: 'correlation-1',
    causationId: 'causation-1',
  };

  describe.each(contracts.map((contract) => [contract.type, contract] as const))('%s', (type, contract) => {
    const versions = Array.from({ length: contract.version }, (_, index) => index + 1);
    it.each(versions)('reads its sample of version %i', (version) => {
      const written = encodeEvent(contract, sample(type, contract.version), attributes);
      const headers = { ...written.headers, ce_dataversion: String(version) };
      const event = decodeEvent(
        { ...written, headers, value: JSON.stringify(sample(type, version)) },
        catalogue,
      );
      expect(event).toMatchObject({
        type,
        version: contract.version,
        id: 'event-1',
        correlationId: 'correlation-1',
      });
    });

    it('writes and reads its latest sample unchanged', () => {
      const data = sample(type, contract.version);
      expect(decodeEvent(encodeEvent(contract, data, attributes), catalogue).data).toEqual(data);
    });

    it('refuses a version that is newer than the reader', () => {
      const written = encodeEvent(contract, sample(type, contract.version), attributes);
      const headers = { ...written.headers, ce_dataversion: String(contract.version + 1) };
      expect(() => decodeEvent({ ...written, headers }, catalogue)).toThrow(
        expect.objectContaining({ code: 'EVENT_VERSION_NEWER' }),
      );
    });

    it('refuses data without its key', () => {
      const { [contract.key]: _key, ...rest } = sample(type, contract.version);
      const written = encodeEvent(contract, sample(type, contract.version), attributes);
      expect(() => decodeEvent({ ...written, value: JSON.stringify(rest) }, catalogue)).toThrow(
        expect.objectContaining({ code: 'EVENT_MALFORMED' }),
      );
    });
  });
}
