/** One place that packages come from, as apt's sources(5) describes it. */
export interface AptSource {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Everything else that was set, such as Signed-By; names in lower case. */
  readonly options: Readonly<Record<string, string>>;
}

/** Reads the one-line style. Lines that are no binary source are passed over. */
export function parseOneLineSources(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]\S*)*)/.exec(line);
    if (!match) return [];
    const [, optionText = '', uri = '', suite = '', components = ''] = match;
    const options = Object.fromEntries(
      [...optionText.matchAll(/([A-Za-z-]+)=(\S+)/g)].map(([, name = '', value = '']) => [
        name.toLowerCase(),
        value,
      ]),
    );
    return [{ uris: [uri], suites: [suite], components: words(components), options }];
  });
}

/** Reads the deb822 style, with comments, folded lines and inlined keys. */
export function parseDeb822Sources(text: string): AptSource[] {
  const withoutComments = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
  return withoutComments.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = fieldsOf(stanza);
    const { types = '', uris = '', suites = '', components = '', enabled = 'yes', ...options } = fields;
    if (!words(types).includes('deb') || /^(no|false|0)$/i.test(enabled.trim()) || !uris) return [];
    return [{ uris: words(uris), suites: words(suites), components: words(components), options }];
  });
}

function fieldsOf(stanza: string): Record<string, string> {
  const fields: Record<string, string> = {};
  let name = '';
  for (const line of stanza.split('\n')) {
    const start = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
    if (start) {
      name = (start[1] ?? '').toLowerCase();
      fields[name] = start[2] ?? '';
    } else if (name && /^[ \t]/.test(line)) fields[name] += `\n${line}`;
  }
  return fields;
}

/**
 * Of the user's sources those of the distribution itself: suites of this release, with the component main. What
 * others offer is left out, as it can neither bring nor hold up what we need. With `backports`, the release's
 * backports are added beside the release, from the same place and under the same key.
 */
export function distributionSources(
  sources: readonly AptSource[],
  codename: string,
  { backports }: { backports: boolean },
): AptSource[] {
  return sources.flatMap((source) => {
    const suites = source.suites.filter((suite) => suite === codename || suite.startsWith(`${codename}-`));
    if (suites.length === 0 || !source.components.includes('main')) return [];
    const wanted = `${codename}-backports`;
    const all =
      backports && suites.includes(codename) && !suites.includes(wanted) ? [...suites, wanted] : suites;
    return [{ ...source, suites: all }];
  });
}

export function formatDeb822(sources: readonly AptSource[]): string {
  return sources
    .map(({ uris, suites, components, options }) =>
      [
        'Types: deb',
        `URIs: ${uris.join(' ')}`,
        `Suites: ${suites.join(' ')}`,
        `Components: ${components.join(' ')}`,
        ...Object.entries(options).map(
          ([name, value]) => `${headerCase(name)}:${value.startsWith('\n') ? '' : ' '}${value}`,
        ),
      ].join('\n'),
    )
    .join('\n\n')
    .concat('\n');
}

/** The one-line style writes some options by other names than deb822 does. */
const DEB822_NAMES: Readonly<Record<string, string>> = {
  arch: 'Architectures',
  lang: 'Languages',
  target: 'Targets',
};

function headerCase(name: string): string {
  return (
    DEB822_NAMES[name] ??
    name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
  );
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}
