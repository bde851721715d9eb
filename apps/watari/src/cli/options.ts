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
