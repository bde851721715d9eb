import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { convertDisk, copyDisk, manifestPathOf } from '@watari/disk-image';
import type { HostTools } from '@watari/host-tools';
import type { DiskWorkshop } from '../ports';

const REPLICA = 'replica.raw';
const CLONE = 'guest.raw';
const MIGRATION_ID = /^[0-9a-f-]{36}$/i;

/** Keeps the disks of every migration in a folder of its own, `<dataFolder>/conversions/<migrationId>`. */
export function createDiskWorkshop(dataFolder: string, tools: HostTools): DiskWorkshop {
  const folderOf = (migrationId: string): string => {
    if (!MIGRATION_ID.test(migrationId)) throw new Error(`${migrationId} is no id of a migration.`);
    return join(dataFolder, 'conversions', migrationId);
  };
  const place = async (migrationId: string, name: string): Promise<string> => {
    const folder = folderOf(migrationId);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return join(folder, name);
  };
  return {
    copy: async (migrationId, source, { signal, progress }) => {
      const { disk, copiedBytes } = await copyDisk({
        sourcePath: source.path,
        sourceFormat: source.format,
        targetPath: await place(migrationId, REPLICA),
        tools,
        onProgress: progress,
        signal,
      });
      return { replica: disk, copiedBytes };
    },
    convert: async (migrationId, replica, mac, { signal, progress }) => {
      const targetPath = await place(migrationId, CLONE);
      // Of a try whose end was never recorded. Nothing has started from it.
      await removeDisk(targetPath);
      const {
        disk,
        manifestPath,
        steps,
        mac: converted,
      } = await convertDisk({
        sourcePath: replica.path,
        sourceFormat: replica.format,
        targetPath,
        target: 'kvm-virtio',
        ...(mac !== undefined && { nics: [{ oldMac: mac, newMac: mac }] }),
        // Encrypted disks are refused: there is no way yet to hand their keys to this service.
        appliance: {},
        tools,
        onProgress: progress,
        signal,
      });
      return { disk, manifestPath, steps, mac: converted };
    },
    discard: async (migrationId, what) => {
      const folder = folderOf(migrationId);
      await removeDisk(join(folder, what === 'copy' ? REPLICA : CLONE));
      await removeIfEmpty(folder);
    },
  };
}

async function removeDisk(path: string): Promise<void> {
  for (const name of [path, `${path}.partial`, `${path}.partial.partition`, manifestPathOf(path)])
    await rm(name, { force: true });
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
  }
}
