import { mapLines } from './lines';

/** Before lines that hold on the physical server alone; a revert gives the file back as it was. */
export const OFF_MARK = '# (on the physical server) ';

export function switchedOffLines(text: string, isOff: (line: string) => boolean): string {
  return mapLines(text, (line) =>
    !line.trimStart().startsWith('#') && isOff(line) ? `${OFF_MARK}${line}` : line,
  );
}
