export interface OperatingSystem {
  /** osinfo short id, such as debian12, ubuntu22.04 or sle15sp5; `unknown` where no release is named. */
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

/** Words of /etc/os-release. Values are taken as they are: nothing in them is expanded. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const words = new Map<string, string>();
  for (const line of text.split('\n').slice(0, 500)) {
    const [, key, value] = /^\s*([A-Z0-9_]{1,64})=(.{0,1000})$/.exec(line) ?? [];
    if (key && value !== undefined) words.set(key, value.trim().replace(/^(["'])(.*)\1$/, '$2'));
  }
  return words;
}

/** The guest's own words are shown to people: no control characters, no endless lines. */
export function plain(text: string, lettersMax: number): string {
  return text
    .replace(/\p{Cc}/gu, ' ')
    .trim()
    .slice(0, lettersMax);
}
