import { distributionSources, formatDeb822, parseDeb822Sources, parseOneLineSources } from './apt-sources';

describe('apt sources of the one-line style', () => {
  it('are read with their options, and without comments and source packages', () => {
    const text = [
      '# deb http://old.example/debian bookworm main',
      'deb [signed-by=/usr/share/keyrings/a.gpg arch=amd64] http://mirror.example/debian bookworm main contrib # ours',
      'deb-src http://mirror.example/debian bookworm main',
      'deb http://security.example/debian-security bookworm-security main',
    ].join('\n');
    expect(parseOneLineSources(text)).toEqual([
      {
        uris: ['http://mirror.example/debian'],
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        options: { 'signed-by': '/usr/share/keyrings/a.gpg', arch: 'amd64' },
      },
      {
        uris: ['http://security.example/debian-security'],
        suites: ['bookworm-security'],
        components: ['main'],
        options: {},
      },
    ]);
  });
});

describe('apt sources of the deb822 style', () => {
  const text = [
    'Types: deb deb-src',
    '# a comment in between',
    'URIs: http://mirror.example/debian',
    'Suites: bookworm bookworm-updates',
    'Components: main',
    'Signed-By: /usr/share/keyrings/a.gpg',
    '',
    'Types: deb',
    'URIs: http://vendor.example/apt',
    'Suites: stable',
    'Components: main',
    'Enabled: no',
    '',
    'Types: deb-src',
    'URIs: http://mirror.example/debian',
    'Suites: bookworm',
    'Components: main',
  ].join('\n');

  it('are read stanza by stanza, without disabled ones and those of sources alone', () => {
    expect(parseDeb822Sources(text)).toEqual([
      {
        uris: ['http://mirror.example/debian'],
        suites: ['bookworm', 'bookworm-updates'],
        components: ['main'],
        options: { 'signed-by': '/usr/share/keyrings/a.gpg' },
      },
    ]);
  });

  it('keep a key that stands in the stanza itself', () => {
    const inlined =
      'Types: deb\nURIs: u\nSuites: s\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n abc';
    const [source] = parseDeb822Sources(inlined);
    expect(source?.options['signed-by']).toBe('\n -----BEGIN-----\n .\n abc');
    expect(parseDeb822Sources(formatDeb822(source ? [source] : []))).toEqual([source]);
  });
});

describe('the sources that are used', () => {
  const source = (suites: string[], components = ['main']) => ({
    uris: ['u'],
    suites,
    components,
    options: {},
  });

  it('are those of the release; what other vendors offer is left out', () => {
    const sources = [
      source(['bookworm', 'bookworm-updates']),
      source(['nodistro']),
      source(['cloud-bookworm']),
    ];
    expect(distributionSources(sources, 'bookworm', { backports: false })).toEqual([sources[0]]);
  });

  it('do not take a suite whose name merely begins like the release', () => {
    expect(distributionSources([source(['bookwormish'])], 'bookworm', { backports: false })).toEqual([]);
  });

  it('get the backports beside the release itself, once', () => {
    const [first, second] = distributionSources(
      [
        source(['bookworm', 'bookworm-updates']),
        source(['bookworm', 'bookworm-backports']),
        source(['bookworm-security']),
      ],
      'bookworm',
      { backports: true },
    );
    expect(first?.suites).toEqual(['bookworm', 'bookworm-updates', 'bookworm-backports']);
    expect(second?.suites).toEqual(['bookworm', 'bookworm-backports']);
  });

  it('are written so that apt reads the same again', () => {
    const sources = parseOneLineSources('deb [arch=amd64 signed-by=/k.gpg] http://m.example/d bookworm main');
    expect(formatDeb822(sources)).toBe(
      'Types: deb\nURIs: http://m.example/d\nSuites: bookworm\nComponents: main\nArchitectures: amd64\nSigned-By: /k.gpg\n',
    );
  });
});
