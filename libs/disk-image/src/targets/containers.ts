import type { ContainerEdit, ContainerTarget } from './target';
import { AGENTS, type AgentOwner } from './target';

const ALL_AGENTS = Object.keys(AGENTS) as readonly AgentOwner[];

const NO_KERNEL =
  "A container starts on its host alone, by the host's kernel. The file tree is checked instead, and the first start is the proof.";

/** What Virtuozzo's own scripts do to a server that becomes a container (vzctl, `*-post_migrate.sh`). */
const LINUX_EDITS: readonly ContainerEdit[] = [
  'mtab-of-proc',
  'fstab-without-disks',
  'no-getty',
  'no-kernel-log',
  'no-host-sysctl',
  'static-devices',
  'no-udev',
  'network-by-host',
  'no-kernel',
];

/** OpenVZ legacy (kernel 2.6.32): the private area as a tree; templates and archives are tar. */
export const containerOpenvz: ContainerTarget = {
  name: 'container-openvz',
  kind: 'container',
  title: 'OpenVZ container (simfs)',
  artifact: 'tar',
  imageKinds: [],
  limits: { architectures: ['x86_64', 'i686'], takesWindows: false },
  agents: { install: [], remove: ALL_AGENTS },
  edits: LINUX_EDITS,
  bootProof: { kind: 'none', why: NO_KERNEL },
};

/** Virtuozzo 7 and later: `/vz/private/ID/root.hdd`, a ploop bundle with one ext4 file system in a partition. */
export const containerVirtuozzo: ContainerTarget = {
  name: 'container-virtuozzo',
  kind: 'container',
  title: 'Virtuozzo container (ploop)',
  artifact: 'ploop',
  imageKinds: ['ploop'],
  // ploop(8): disks of up to 16 TB.
  limits: { architectures: ['x86_64', 'i686'], virtualBytesMax: 16 * 1024 ** 4, takesWindows: false },
  agents: { install: [], remove: ALL_AGENTS },
  edits: LINUX_EDITS,
  bootProof: { kind: 'none', why: NO_KERNEL },
};

/**
 * illumos' lx brand (OmniOS, SmartOS; lx(7)): Linux programs of 32 and 64 bits on the illumos kernel. Solaris 10's
 * own lx brand ran RHEL and CentOS 3 of 32 bits only, and is not meant. `zoneadm install -t` takes a tar.
 */
export const containerSolarisLx: ContainerTarget = {
  name: 'container-solaris-lx',
  kind: 'container',
  title: 'Solaris (illumos) zone of the lx brand',
  artifact: 'tar.gz',
  imageKinds: [],
  limits: { architectures: ['x86_64', 'i686'], takesWindows: false },
  agents: { install: [], remove: ALL_AGENTS },
  edits: LINUX_EDITS,
  bootProof: { kind: 'none', why: NO_KERNEL },
};
