import type { Draft } from '../draft';
import type { InitSystem } from '../system/guest-system';

const OWN_UNITS = '/etc/systemd/system';
const PACKAGED_UNITS = ['/usr/lib/systemd/system', '/lib/systemd/system'];
const INIT_SCRIPTS = '/etc/init.d';
const UPSTART_JOBS = '/etc/init';
const UNIT_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,120}$/;
const HAS_TYPE = /\.(service|socket|mount|timer|path|target)$/;
/** The root is always there, so that what must not be is not: systemd passes over the unit, and says why. */
const NEVER = '# Switched off on this virtual machine.\n[Unit]\nConditionPathExists=!/\n';
const EXIT = 'exit 0 # Switched off on this virtual machine.';

/** Folders with units, scripts and jobs, looked into once. */
export interface StartedThings {
  readonly units: ReadonlySet<string>;
  /** Names in /etc/systemd/system, links too. */
  readonly ownUnits: ReadonlySet<string>;
  readonly scripts: ReadonlySet<string>;
  readonly jobs: ReadonlySet<string>;
}

export async function readStartedThings({ files }: Draft): Promise<StartedThings> {
  const packaged = [];
  for (const folder of PACKAGED_UNITS) packaged.push(...(await files.names(folder)));
  const ownUnits = new Set(await files.names(OWN_UNITS));
  const jobs = (await files.names(UPSTART_JOBS)).filter((name) => name.endsWith('.conf'));
  return {
    units: new Set([...packaged, ...ownUnits]),
    ownUnits,
    scripts: new Set(await files.names(INIT_SCRIPTS)),
    jobs: new Set(jobs.map((name) => name.slice(0, -'.conf'.length))),
  };
}

/** `kept`: it is there, but starts in a way that cannot be switched off in files. */
export type SwitchedOff = 'off' | 'absent' | 'kept';

/**
 * Keeps something from starting, in a way that its package's next update leaves alone and that a revert takes back.
 */
export async function switchOff(
  draft: Draft,
  name: string,
  things: StartedThings,
  init: InitSystem,
): Promise<SwitchedOff> {
  if (!UNIT_NAME.test(name)) return 'absent';
  const unit = HAS_TYPE.test(name) ? name : `${name}.service`;
  if (init === 'systemd') {
    // systemd makes units of init scripts by itself, and masks hold for them as well.
    if (!things.units.has(unit) && !things.scripts.has(name)) return 'absent';
    await mask(draft, unit, things);
    return 'off';
  }
  if (init === 'upstart' && things.jobs.has(name)) {
    await draft.write(`${UPSTART_JOBS}/${name}.override`, 'manual\n', `${name} is switched off`);
    return 'off';
  }
  if (!things.scripts.has(name)) return 'absent';
  const path = `${INIT_SCRIPTS}/${name}`;
  await draft.edit(path, withExit, `${name} is switched off`);
  return (await draft.text(path))?.includes(`\n${EXIT}\n`) ? 'off' : 'kept';
}

/** An empty unit file masks the packaged one; what stands there already gets a condition that never holds. */
async function mask(draft: Draft, unit: string, { ownUnits }: StartedThings): Promise<void> {
  const path = `${OWN_UNITS}/${unit}`;
  const reason = `${unit} is switched off`;
  if (!ownUnits.has(unit)) {
    await draft.write(path, '', reason);
    return;
  }
  const found = await draft.files.find(path);
  // A link to /dev/null, whether that is there or not, and an empty file are masks already.
  if (!found || found.entry.kind === 'other' || found.entry.sizeBytes === 0) return;
  await draft.write(`${path}.d/90-watari-off.conf`, NEVER, reason);
}

function withExit(script: string): string {
  const end = script.indexOf('\n');
  if (!script.startsWith('#!') || end < 0) return script;
  if (script.slice(end + 1).startsWith(`${EXIT}\n`)) return script;
  return `${script.slice(0, end + 1)}${EXIT}\n${script.slice(end + 1)}`;
}
