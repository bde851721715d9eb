import type { MoveStatus } from '@watari/host-agent-client';
import { bytesInWords } from './output';

/** Where the move of a running guest stands, for people: the gist first, then a line for each figure. */
export function describeMove(move: MoveStatus): string[] {
  const { state, rounds, guestBytes, wireBytes, remainingBytes, decision, compression } = move;
  const left = remainingBytes === undefined ? '' : `, ${bytesInWords(remainingBytes)} left`;
  const share = guestBytes > 0 ? ` (${Math.round((wireBytes / guestBytes) * 100)} %)` : '';
  const rows: [string, string | null][] = [
    ['pages', pagesInWords(move)],
    ['rates', ratesInWords(move)],
    ['slowed', move.throttlePercent ? `the guest runs ${100 - move.throttlePercent} % of its time` : null],
    ['pause', pauseInWords(move)],
    ['decision', decision ?? null],
    ['packing', compression ?? null],
  ];
  return [
    `${state}, round ${rounds}: ${bytesInWords(guestBytes)} read, ${bytesInWords(wireBytes)} sent${share}${left}`,
    ...rows.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(9)} ${text}`])),
  ];
}

/** How far it is, from 0 to 1; undefined while that is not known. */
export function moveFraction({ guestBytes, remainingBytes }: MoveStatus): number | undefined {
  if (remainingBytes === undefined || guestBytes + remainingBytes === 0) return undefined;
  return guestBytes / (guestBytes + remainingBytes);
}

function pagesInWords(move: MoveStatus): string | null {
  if (move.pages === 0) return null;
  const kinds: [string, number | undefined][] = [
    ['zero', move.zeroPages],
    ['same', move.samePages],
    ['delta', move.deltaPages],
    ['copied', move.copiedPages],
    ['whole', move.rawPages],
  ];
  return kinds
    .filter(([, count]) => count)
    .map(([name, count = 0]) => `${name} ${Math.round((count / move.pages) * 100)} %`)
    .join(', ');
}

function ratesInWords({ bytesPerSecond, dirtyBytesPerSecond }: MoveStatus): string | null {
  const parts = [
    ...(bytesPerSecond === undefined ? [] : [`link ${bytesInWords(bytesPerSecond)}/s`]),
    ...(dirtyBytesPerSecond === undefined ? [] : [`guest writes ${bytesInWords(dirtyBytesPerSecond)}/s`]),
  ];
  return parts.length > 0 ? parts.join(', ') : null;
}

function pauseInWords({ expectedDowntimeMs, downtimeLimitMs, downtimeMs }: MoveStatus): string | null {
  if (downtimeMs !== undefined) return `was ${Math.round(downtimeMs)} ms`;
  if (expectedDowntimeMs === undefined) return null;
  const limit = downtimeLimitMs === undefined ? '' : `, ${downtimeLimitMs} ms allowed`;
  return `would be ${Math.round(expectedDowntimeMs)} ms now${limit}`;
}
