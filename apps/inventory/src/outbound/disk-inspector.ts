import { DiskUnusable, examineImage, inspectDisk } from '@watari/disk-image';
import { createHostTools } from '@watari/host-tools';
import type { DiskInspector } from '../ports';

/**
 * Reads the disk with file system tools in user space, or in an appliance what those cannot open: the host mounts
 * nothing, and nothing of the disk is run.
 */
export function createDiskInspector(): DiskInspector {
  const tools = createHostTools();
  return {
    inspect: async (path, format, now) => {
      const kind = format ?? (await examineImage(path)).format;
      // Images of other hypervisors become one of these first; servers run from these alone.
      if (kind !== 'raw' && kind !== 'qcow2')
        throw new DiskUnusable(
          'DISK_FORMAT_UNSUPPORTED',
          `${path} is a ${kind} image; servers are registered with raw or qcow2 disks. Convert it first: watari convert ${path} --target kvm-virtio --format qcow2 --out FILE.`,
        );
      const found = await inspectDisk({ path, format: kind, tools, appliance: {} });
      return {
        hostname: found.hostname,
        operatingSystem: found.operatingSystem,
        firmware: found.firmware,
        partitionTable: found.partitionTable,
        disks: [
          {
            path,
            format: kind,
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
