import { InvalidArgumentError } from 'commander';

function wholeNumber(text: string, min: number, max: number): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < min || Number(text) > max)
    throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}.`);
  return Number(text);
}

export const portOption = (text: string) => wholeNumber(text, 0, 65_535);
export const memoryOption = (text: string) => wholeNumber(text, 64, 1_048_576);
export const vcpusOption = (text: string) => wholeNumber(text, 1, 256);
export const downtimeOption = (text: string) => wholeNumber(text, 1, 60_000);
const BYTES_PER_MEGABIT = 125_000;
/** Given in Mbit/s, as links are named; the result is in bytes per second. */
export const bandwidthOption = (text: string) => wholeNumber(text, 1, 1_000_000) * BYTES_PER_MEGABIT;
export const throttleOption = (text: string) => wholeNumber(text, 0, 99);
export const hoursOption = (text: string) => wholeNumber(text, 1, 8_760);

/** Bytes: a number, or one with K, M, G or T for powers of 1024. */
export function sizeOption(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9})([KMGT]?)$/i.exec(text) ?? [];
  if (count === '') throw new InvalidArgumentError('must be a size such as 16G or 500M.');
  return Number(count) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ');
}
