import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Estate, ProductPack, productsOn, requiredFor } from './terms';

const pack = ProductPack.parse(parse(readFileSync(join(__dirname, '../../packs/products.yaml'), 'utf8')));
const estate = (change: Partial<Estate> = {}): Estate => ({
  operatingSystemId: 'debian12',
  packages: [],
  vcpus: 2,
  host: { cpuSockets: 2, cpuCores: 24 },
  ...change,
});
const namesOn = (change: Partial<Estate>) =>
  productsOn(estate(change), pack).found.map(({ product }) => product);

describe('finding products', () => {
  it.each([
    ['debian12', 'Debian'],
    ['ubuntu24.04', 'Ubuntu'],
    ['rhel9.4', 'Red Hat Enterprise Linux Server'],
    ['win2k22', 'Windows Server Standard'],
  ])('knows %s as %s', (operatingSystemId, product) =>
    expect(namesOn({ operatingSystemId })).toEqual([product]),
  );

  it('finds a commercial package beside the operating system', () =>
    expect(namesOn({ operatingSystemId: 'ubuntu22.04', packages: ['mssql-server'] })).toEqual([
      'Ubuntu',
      'Microsoft SQL Server',
    ]));

  it('says which operating system it has no terms for', () =>
    expect(productsOn(estate({ operatingSystemId: 'solaris10' }), pack).unknown).toEqual(['solaris10']));

  it('does not take another name with the same beginning for a release', () =>
    expect(productsOn(estate({ operatingSystemId: 'debianish' }), pack).found).toEqual([]));
});

describe('counting licences', () => {
  it.each([
    ['none', {}, 0],
    ['per-pair-of-instances', {}, 1],
    ['windows-server-cores', { host: { cpuSockets: 2, cpuCores: 24 } }, 24],
    ['windows-server-cores', { host: { cpuSockets: 1, cpuCores: 4 } }, 16],
    ['windows-server-cores', { host: { cpuSockets: 4, cpuCores: 24 } }, 32],
    ['sql-server-virtual-cores', { vcpus: 2 }, 8],
    ['sql-server-virtual-cores', { vcpus: 6 }, 12],
  ] as const)('by %s of %j needs %i', (metric, change, expected) =>
    expect(requiredFor(metric, estate(change)).required).toBe(expected),
  );
});
