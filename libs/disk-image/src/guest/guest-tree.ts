import { type DirectoryEntry, type ExtVolume, ROOT_INODE } from '../file-system/ext-volume';
import type { GuestReader } from './guest-files';

export interface Mount<Volume extends ExtVolume = ExtVolume> {
  /** `/`, `/boot` … */
  readonly point: string;
  readonly volume: Volume;
}

export interface Found<Volume extends ExtVolume = ExtVolume> {
  /** Without symlinks, from the guest's root. */
  readonly path: string;
  readonly volume: Volume;
  readonly parentInode: number;
  readonly entry: DirectoryEntry;
}

const SYMLINKS_MAX = 40;
const PATH_PARTS_MAX = 256;
export const TEXT_BYTES_MAX = 1024 * 1024;

/** A guest's files, over its mounts. Symlinks lead only to places inside of the guest's own root. */
export class GuestTree<Volume extends ExtVolume = ExtVolume> implements GuestReader {
  private mounts: readonly Mount<Volume>[];

  constructor(readonly root: Volume) {
    this.mounts = [{ point: '/', volume: root }];
  }

  addMount(mount: Mount<Volume>): void {
    this.mounts = [...this.mounts.filter(({ point }) => point !== mount.point), mount];
  }

  get volumes(): readonly Volume[] {
    return this.mounts.map(({ volume }) => volume);
  }

  /** Follows symlinks, the last part's too. Undefined where nothing is there, or symlinks run in a circle. */
  async find(path: string): Promise<Found<Volume> | undefined> {
    const parts = partsOf(path);
    let place: Found<Volume> = rootOf('/', this.root);
    const trail: Found<Volume>[] = [];
    for (let links = 0, walked = 0; parts.length > 0; walked++) {
      if (walked > PATH_PARTS_MAX) return undefined;
      const part = parts.shift() ?? '';
      if (part === '..') {
        place = trail.pop() ?? rootOf('/', this.root);
        continue;
      }
      if (place.entry.kind !== 'directory') return undefined;
      const entry = (await place.volume.list(place.entry.inode)).get(part);
      if (!entry) return undefined;
      if (entry.kind === 'symlink') {
        links += 1;
        const target = links <= SYMLINKS_MAX ? await place.volume.readLink(entry) : undefined;
        if (!target || target.length > 4095) return undefined;
        if (target.startsWith('/')) {
          trail.length = 0;
          place = rootOf('/', this.root);
        }
        parts.unshift(...partsOf(target));
        continue;
      }
      trail.push(place);
      const below = place.path === '/' ? `/${part}` : `${place.path}/${part}`;
      const mount = this.mounts.find(({ point }) => point === below);
      place = mount
        ? rootOf(below, mount.volume)
        : { path: below, volume: place.volume, parentInode: place.entry.inode, entry };
    }
    return place;
  }

  /** A file's content; undefined where there is no such file, or it has more than `bytesMax` bytes. */
  async read(path: string, bytesMax = TEXT_BYTES_MAX): Promise<Buffer | undefined> {
    const found = await this.find(path);
    return found?.entry.kind === 'file' ? found.volume.read(found.entry, bytesMax) : undefined;
  }

  async readText(path: string, bytesMax = TEXT_BYTES_MAX): Promise<string | undefined> {
    return (await this.read(path, bytesMax))?.toString('utf8');
  }

  /** Names in a directory, sorted; none where there is no such directory. */
  async names(path: string): Promise<string[]> {
    return (await this.entries(path)).map(({ name }) => name);
  }

  async entries(path: string): Promise<DirectoryEntry[]> {
    const found = await this.find(path);
    if (found?.entry.kind !== 'directory') return [];
    const entries = [...(await found.volume.list(found.entry.inode)).values()];
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

function rootOf<Volume extends ExtVolume>(path: string, volume: Volume): Found<Volume> {
  const entry: DirectoryEntry = {
    inode: ROOT_INODE,
    kind: 'directory',
    mode: 0o040755,
    uid: 0,
    gid: 0,
    name: '',
    sizeBytes: 0,
  };
  return { path, volume, parentInode: ROOT_INODE, entry };
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}
