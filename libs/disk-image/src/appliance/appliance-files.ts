import { z } from 'zod';
import type { InodeAttributes } from '../file-system/inode-attributes';
import { diskError } from './disk-refusal';
import { TEXT_BYTES_MAX } from '../guest/guest-tree';
import type { FileRights, FoundFile, GuestFiles, NamedFile } from '../guest/guest-files';
import { fromInodeTime, toInodeTime } from './inode-times';
import { type Peer, Refusal, type Request, plain } from './machine/peer';

const uint32 = z.int().min(0).max(0xffffffff);
const file = {
  kind: z.enum(['file', 'directory', 'symlink', 'other']),
  mode: uint32,
  uid: uint32,
  gid: uint32,
  sizeBytes: z.number().min(0),
};
const guestPath = z.string().startsWith('/').max(8192);
const Found = z.object({ path: guestPath, ...file }).nullable();
const Entries = z.array(z.object({ name: z.string().min(1).max(1024), ...file })).max(65536);
const Link = z.object({ target: z.string().max(4096) }).nullable();
const Read = z.object({ sizeBytes: z.number().min(0) });
const timeNs = z.string().regex(/^-?\d{1,20}$/);
const Attributes = z.object({
  mode: uint32,
  uid: uint32,
  gid: uint32,
  links: uint32,
  flags: uint32,
  mtimeNs: timeNs,
  atimeNs: timeNs,
  xattrs: z.array(z.object({ name: z.string().max(255), valueBase64: z.base64().max(100_000) })).max(64),
});
const Draft = z.object({ draft: z.int().min(1) });
const Written = z.object({ path: guestPath });
const Digest = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  entryCount: z.int().min(0),
  sizeBytes: z.int().min(0),
});
const Space = z.object({ freeBytes: z.int().min(0), sizeBytes: z.int().min(0) });
const Nothing = z.object({});

const PART_BYTES = 1024 * 1024;
const DIRECTORY_RIGHTS: FileRights = { mode: 0o755, uid: 0, gid: 0 };
const DIGEST_TIMEOUT_MS = 30 * 60_000;
const NOT_THERE = ['NOT_FOUND', 'NOT_A_FILE'];

export interface TreeDigest {
  /** Over names, owners, rights, extended attributes, links and contents; not over times. */
  readonly sha256: string;
  readonly entryCount: number;
  readonly sizeBytes: number;
}

/** The files of the guest that is mounted in an appliance. */
export class ApplianceFiles implements GuestFiles {
  constructor(private readonly peer: Peer) {}

  async find(path: string): Promise<FoundFile | undefined> {
    const found = await this.ask(path, { op: 'stat', args: { path, follow: true }, schema: Found });
    if (!found) return undefined;
    const { path: real, ...entry } = found;
    return { path: real, entry };
  }

  async entries(path: string): Promise<NamedFile[]> {
    return (await this.askIfThere({ op: 'list', args: { path }, schema: Entries }, path)) ?? [];
  }

  async names(path: string): Promise<string[]> {
    return (await this.entries(path)).map(({ name }) => name);
  }

  async read(path: string, bytesMax = TEXT_BYTES_MAX): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    let [done, sizeBytes] = [0, 1];
    while (done < sizeBytes) {
      const args = { path, offset: done, length: PART_BYTES };
      const reply = await this.replyIfThere({ op: 'read', args, schema: Read }, path);
      if (!reply || reply.result.sizeBytes > bytesMax) return undefined;
      sizeBytes = reply.result.sizeBytes;
      // A file that ends before its length is damaged.
      if (reply.payload.length === 0 && done < sizeBytes) return undefined;
      done += reply.payload.length;
      parts.push(reply.payload);
    }
    const content = Buffer.concat(parts);
    return content.length === sizeBytes ? content : undefined;
  }

  async readText(path: string, bytesMax = TEXT_BYTES_MAX): Promise<string | undefined> {
    return (await this.read(path, bytesMax))?.toString('utf8');
  }

  /** Where a symlink points, as it stands there; undefined where there is none. */
  async readLink(path: string): Promise<string | undefined> {
    return (await this.askIfThere({ op: 'read-link', args: { path }, schema: Link }, path))?.target;
  }

  async attributes(path: string): Promise<InodeAttributes> {
    const { mtimeNs, atimeNs, ...rest } = await this.ask(path, {
      op: 'attributes',
      args: { path },
      schema: Attributes,
    });
    return {
      ...rest,
      times: { mtime: toInodeTime(BigInt(mtimeNs)), atime: toInodeTime(BigInt(atimeNs)) },
    };
  }

  async create(path: string, content: Buffer, rights: FileRights): Promise<string> {
    return this.write(path, content, rights);
  }

  async replace(path: string, content: Buffer): Promise<void> {
    await this.write(path, content, null);
  }

  async setAttributes(
    path: string,
    { mode, uid, gid, flags, xattrs, times }: InodeAttributes,
    { withTimes }: { withTimes: boolean },
  ): Promise<void> {
    const stamps = {
      mtimeNs: `${fromInodeTime(times.mtime)}`,
      atimeNs: `${fromInodeTime(times.atime)}`,
    };
    const args = { path, mode, uid, gid, flags, xattrs, times: withTimes ? stamps : null };
    await this.ask(path, { op: 'set-attributes', args, schema: Nothing });
  }

  async remove(path: string): Promise<void> {
    await this.ask(path, { op: 'remove', args: { path }, schema: Nothing });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.ask(from, { op: 'rename', args: { from, to }, schema: Nothing });
  }

  async makeDirectory(path: string, rights = DIRECTORY_RIGHTS): Promise<string> {
    const request = { op: 'make-directory', args: { path, ...rights }, schema: Written };
    return (await this.ask(path, request)).path;
  }

  async removeDirectory(path: string): Promise<void> {
    await this.ask(path, { op: 'remove-directory', args: { path }, schema: Nothing });
  }

  async makeSymlink(path: string, target: string): Promise<void> {
    await this.ask(path, { op: 'make-symlink', args: { path, target }, schema: Nothing });
  }

  /** A digest of all below a folder, on its own file system. Two trees with the same digest hold the same. */
  async digest(path: string): Promise<TreeDigest> {
    return this.ask(path, { op: 'digest', args: { path }, schema: Digest, timeoutMs: DIGEST_TIMEOUT_MS });
  }

  /** Of the file system that holds the path. */
  async space(path: string): Promise<{ freeBytes: number; sizeBytes: number }> {
    return this.ask(path, { op: 'space', args: { path }, schema: Space });
  }

  /** With `create` null the file is there, and keeps what it has besides its content. */
  private async write(path: string, content: Buffer, create: FileRights | null): Promise<string> {
    const begin = { path, sizeBytes: content.length, create };
    const { draft } = await this.ask(path, { op: 'begin-write', args: begin, schema: Draft });
    try {
      for (let done = 0; done < content.length; done += PART_BYTES) {
        const payload = content.subarray(done, done + PART_BYTES);
        await this.ask(path, { op: 'write-part', args: { draft }, payload, schema: Nothing });
      }
      const end = { op: 'end-write', args: { draft }, schema: Written };
      return (await this.ask(path, end)).path;
    } catch (error) {
      // The first trouble is the one to tell; a second one, with the draft, changes nothing about it.
      await this.ask(path, { op: 'abort-write', args: { draft }, schema: Nothing }).catch(() => undefined);
      throw error;
    }
  }

  private async ask<Result>(path: string, request: Request<Result>): Promise<Result> {
    try {
      return (await this.peer.request(request)).result;
    } catch (error) {
      throw diskError(error, `${shown(path)} on the disk`);
    }
  }

  private async askIfThere<Result>(request: Request<Result>, path: string): Promise<Result | undefined> {
    return (await this.replyIfThere(request, path))?.result ?? undefined;
  }

  private async replyIfThere<Result>(request: Request<Result>, path: string) {
    try {
      return await this.peer.request(request);
    } catch (error) {
      if (error instanceof Refusal && NOT_THERE.includes(error.code)) return undefined;
      throw diskError(error, `${shown(path)} on the disk`);
    }
  }
}

function shown(path: string): string {
  return plain(JSON.stringify(path)).slice(1, -1).slice(0, 300);
}
