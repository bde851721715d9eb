export interface FstabEntry {
  readonly spec: string;
  readonly mountPoint: string;
  readonly type: string;
}

/** Mounts that /etc/fstab asks for; comments and broken lines are left out. */
export function parseFstab(text: string): FstabEntry[] {
  return text.split('\n').flatMap((line) => {
    const [spec, mountPoint, type] = line.trim().split(/\s+/);
    if (!spec || spec.startsWith('#') || !mountPoint || !type) return [];
    return [{ spec: spec.replace(/^"|"$/g, ''), mountPoint: normal(mountPoint), type }];
  });
}

function normal(mountPoint: string): string {
  return mountPoint.length > 1 ? mountPoint.replace(/\/+$/, '') : mountPoint;
}
