/** What is being done, in words, and how much of the whole is done, 0 to 1; the fraction never falls. */
export type ProgressListener = (step: string, fraction: number) => void;

/** The build's parts and how much of its time each takes, as measured. */
export const STEPS = {
  fetch: { begin: 0, end: 0.2 },
  unpack: { begin: 0.2, end: 0.25 },
  install: { begin: 0.25, end: 0.75 },
  boot: { begin: 0.75, end: 0.85 },
  disk: { begin: 0.85, end: 1 },
} as const;

export class ProgressReporter {
  private fraction = 0;

  constructor(private readonly listener: ProgressListener | undefined) {}

  at(part: keyof typeof STEPS, step: string, share = 0): void {
    const { begin, end } = STEPS[part];
    this.fraction = Math.max(this.fraction, begin + (end - begin) * Math.min(1, Math.max(0, share)));
    this.listener?.(step, this.fraction);
  }

  done(): void {
    this.fraction = 1;
    this.listener?.('the server is ready', 1);
  }
}

/** Turns what dpkg says into a share: each package is unpacked once and set up once. */
export function dpkgListener(
  packageCount: number,
  onShare: (step: string, share: number) => void,
): (line: string) => void {
  const seen = new Set<string>();
  return (line) => {
    const [, action, name] = /^(Unpacking|Setting up) (\S+) \(/.exec(line) ?? [];
    if (!action || !name) return;
    seen.add(`${action} ${name}`);
    onShare(`${action === 'Unpacking' ? 'unpacking' : 'setting up'} ${name}`, seen.size / (2 * packageCount));
  };
}
