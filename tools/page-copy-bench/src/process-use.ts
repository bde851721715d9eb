import { readFile, writeFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second for user space. */
const TICKS_PER_SECOND = 100;

/** Processor seconds that a process used, those of its ended threads included, without those of one thread. */
export async function cpuSeconds(pid: number, withoutThread?: number): Promise<number> {
  const whole = await readTicks(`/proc/${pid}/stat`);
  const without =
    withoutThread === undefined ? 0 : await readTicks(`/proc/${pid}/task/${withoutThread}/stat`);
  return (whole - without) / TICKS_PER_SECOND;
}

async function readTicks(path: string): Promise<number> {
  const text = await readFile(path, 'utf8');
  // The name stands in parentheses and may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** From here on the peak of resident memory counts anew. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

export async function peakMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) / 1_024;
}
