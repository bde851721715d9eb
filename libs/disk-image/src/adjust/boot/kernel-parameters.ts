import type { DeviceNames } from '../../guest/device-names';
import { LINE_LETTERS_MAX } from '../lines';

/** Parameters whose value is a device, alone or before a colon (`cryptdevice=/dev/sda2:root`). */
const DEVICE_PARAMETER =
  /(^|[\s"'=])((?:root|real_root|resume|cryptdevice|rd\.luks\.data|journal_dev|cryptopts=(?:[^\s"']*,)?source)=)(\/dev\/[^\s"':,]+)/g;
const CONSOLE = /^console=([A-Za-z0-9]+)/;

/** A line of kernel parameters, and what stands before them, with devices by names that stay. */
export function stableParameters(line: string, devices: DeviceNames): string {
  if (line.length > LINE_LETTERS_MAX) return line;
  return line.replace(DEVICE_PARAMETER, (whole, before: string, key: string, spec: string) => {
    const stable = devices.stable(spec);
    return stable ? `${before}${key}${stable}` : whole;
  });
}

/** Devices in a line of kernel parameters that depend on the disk's controller, and so must not stay. */
export function unstableDevices(line: string, devices: DeviceNames): string[] {
  const specs = [...line.matchAll(DEVICE_PARAMETER)].map((match) => match[3] ?? '');
  return specs.filter((spec) => devices.stable(spec) !== undefined || devices.isOtherDisk(spec));
}

/**
 * Kernel parameters with the target's consoles. Those that the target lacks go. The last one is /dev/console, by the
 * owner's choice where there is one that stays: what is missing comes before it then.
 */
export function withConsoles(parameters: string, consoles: readonly string[]): string {
  if (parameters.length > LINE_LETTERS_MAX) return parameters;
  const kept = withoutForeignConsoles(parameters, consoles);
  return addConsoles(kept, missingConsoles(kept, consoles));
}

/** Those that the parameters do not name. */
export function missingConsoles(parameters: string, consoles: readonly string[]): string[] {
  const present = parameters.split(/\s+/).flatMap((word) => CONSOLE.exec(word)?.[1] ?? []);
  return consoles.filter((value) => !present.includes(deviceOf(value)));
}

export function addConsoles(parameters: string, missing: readonly string[]): string {
  if (missing.length === 0) return parameters;
  const words = missing.map((value) => `console=${value}`).join(' ');
  const first = /(?:^|\s)(console=)/.exec(parameters);
  if (!first) return parameters.trim() === '' ? words : `${parameters.trimEnd()} ${words}`;
  const at = first.index + first[0].length - 'console='.length;
  return `${parameters.slice(0, at)}${words} ${parameters.slice(at)}`;
}

/** Without consoles that the target does not have. */
export function withoutForeignConsoles(parameters: string, consoles: readonly string[]): string {
  const devices = consoles.map(deviceOf);
  const foreign = parameters.split(/\s+/).flatMap((word) => {
    const device = CONSOLE.exec(word)?.[1];
    return device !== undefined && !devices.includes(device) ? [device] : [];
  });
  return foreign.reduce(withoutConsole, parameters);
}

function withoutConsole(parameters: string, device: string): string {
  return parameters.replace(new RegExp(`(?:^|\\s+)console=${device}(?:,\\S*)?(?=\\s|$)`, 'g'), '');
}

function deviceOf(value: string): string {
  return value.split(',')[0] ?? value;
}
