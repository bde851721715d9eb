/** A file's attributes besides its content. */
export interface InodeAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly flags: number;
  /** `extra` holds nanoseconds and more bits of the seconds, as ext4 stores them. */
  readonly times: Readonly<Record<'mtime' | 'atime', { seconds: number; extra?: number }>>;
  readonly xattrs: readonly { name: string; valueBase64: string }[];
}

/** sync, immutable, append only, nodump, noatime: what people set. The others say how the data is stored. */
export const PRESERVED_FLAGS = 0x8 | 0x10 | 0x20 | 0x40 | 0x80;

/** Reads what `stat` of debugfs prints. */
export function parseInode(
  text: string,
): { attributes: Omit<InodeAttributes, 'xattrs'>; xattrNames: string[] } | undefined {
  const head = /^Inode: \d+\s+Type: \w+\s+Mode:\s+(\d+)\s+Flags: 0x([0-9a-f]+)/m.exec(text);
  const owner = /^User:\s+(\d+)\s+Group:\s+(\d+)/m.exec(text);
  const links = /^Links: (\d+)/m.exec(text);
  const mtime = timeOf(text, 'mtime');
  const atime = timeOf(text, 'atime');
  if (!head || !owner || !links || !mtime || !atime) return undefined;
  const names = [...text.matchAll(/^ {2}([a-z]+\.[A-Za-z0-9_.-]{1,200}) \(\d+\)/gm)].map(
    ([, name]) => name ?? '',
  );
  return {
    attributes: {
      mode: parseInt(head[1] ?? '0', 8),
      flags: parseInt(head[2] ?? '0', 16),
      uid: Number(owner[1]),
      gid: Number(owner[2]),
      links: Number(links[1]),
      times: { mtime, atime },
    },
    // Small files may live in this attribute: it is content.
    xattrNames: names.filter((name) => name !== 'system.data').slice(0, 32),
  };
}

function timeOf(text: string, field: string): { seconds: number; extra?: number } | undefined {
  const [, seconds, extra] =
    new RegExp(`^ ?${field}: 0x([0-9a-f]+)(?::([0-9a-f]+))? --`, 'm').exec(text) ?? [];
  if (seconds === undefined) return undefined;
  return { seconds: parseInt(seconds, 16), ...(extra !== undefined && { extra: parseInt(extra, 16) }) };
}
