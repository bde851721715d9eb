import { inspectDisk } from '@watari/disk-image';
import { createHostTools } from '@watari/host-tools';
import type { DiskInspector } from '../ports';

/** Reads the disk with file system tools in user space: nothing is mounted, nothing of the disk is run. */
export function createDiskInspector(): DiskInspector {
  const tools = createHostTools();
  return {
    inspect: async (path, format, now) => {
      const found = await inspectDisk({ path, format, tools });
      return {
        hostname: found.hostname,
        operatingSystem: found.operatingSystem,
        firmware: found.firmware,
        partitionTable: found.partitionTable,
        disks: [
          {
            path,
            format: found.format,
            virtualSizeBytes: found.virtualSizeBytes,
            allocatedBytes: found.allocatedBytes,
          },
        ],
        rootFileSystem: found.rootFileSystem,
        kernels: found.kernels.map(({ version, hasVirtio }) => ({ version, hasVirtio })),
        nics: [...found.nicRules],
        applications: [...found.applications],
        inspectedAt: now.toISOString(),
      };
    },
  };
}
