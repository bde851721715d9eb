import { mkdir, statfs } from 'node:fs/promises';
import { arch, freemem, totalmem } from 'node:os';
import { probeAccelerator } from './accelerator';
import { type HostTools, createHostTools } from './host-tools';
import { readDistributionSources, readRelease } from './package-cache';
import { QEMU_VERSION_MIN, TOOLS, type ToolName } from './tool-table';

/** One thing that was looked at on this machine. */
export interface Finding {
  readonly id: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly summary: string;
  readonly remedy?: string;
}

const GIB = 1024 ** 3;
const CACHE_GIB_MIN = 6;
const MEMORY_GIB_MIN = 3;

/** Looks whether this machine can run guests and convert disks; changes nothing. */
export async function examine(tools: HostTools = createHostTools()): Promise<Finding[]> {
  const findings = [await release(), nodeVersion(), memory(), await cacheSpace(tools.cacheDir)];
  const programs = await Promise.all(
    (Object.keys(TOOLS) as ToolName[]).map((tool) => examineTool(tools, tool)),
  );
  const qemu = programs.find(({ id }) => id === 'qemu-system-x86_64');
  return [...findings, ...programs, ...(qemu?.level === 'ok' ? [await accelerator(tools)] : [])];
}

async function release(): Promise<Finding> {
  const { name, codename } = await readRelease();
  const sources = await readDistributionSources(codename, { backports: false });
  if (arch() !== 'x64')
    return {
      id: 'system',
      level: 'error',
      summary: `${name} on ${arch()}`,
      remedy: 'Guests are x86-64 at this stage: use an x86-64 machine.',
    };
  return sources.length > 0
    ? { id: 'system', level: 'ok', summary: `${name}; missing programs can be fetched by apt` }
    : {
        id: 'system',
        level: 'warning',
        summary: `${name}; apt has no source of its distribution`,
        remedy: 'Programs that are missing must be installed by hand.',
      };
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isFit = major > 20 || (major === 20 && minor >= 19);
  return {
    id: 'node',
    level: isFit ? 'ok' : 'error',
    summary: `Node.js ${process.versions.node}`,
    ...(!isFit && { remedy: 'Install Node.js 20.19 or later.' }),
  };
}

function memory(): Finding {
  const total = totalmem() / GIB;
  const isEnough = total >= MEMORY_GIB_MIN;
  return {
    id: 'memory',
    level: isEnough ? 'ok' : 'warning',
    summary: `${total.toFixed(1)} GiB of memory, ${(freemem() / GIB).toFixed(1)} GiB free`,
    ...(!isEnough && { remedy: `The demonstration wants ${MEMORY_GIB_MIN} GiB.` }),
  };
}

async function cacheSpace(cacheDir: string): Promise<Finding> {
  try {
    await mkdir(cacheDir, { recursive: true });
    const { bavail, bsize } = await statfs(cacheDir);
    const free = (bavail * bsize) / GIB;
    const isEnough = free >= CACHE_GIB_MIN;
    return {
      id: 'cache',
      level: isEnough ? 'ok' : 'warning',
      summary: `${free.toFixed(1)} GiB free for the cache ${cacheDir}`,
      ...(!isEnough && {
        remedy: `Free ${CACHE_GIB_MIN} GiB, or put the cache elsewhere with WATARI_CACHE.`,
      }),
    };
  } catch (error) {
    return {
      id: 'cache',
      level: 'error',
      summary: `the cache ${cacheDir} cannot be made: ${(error as Error).message}`,
      remedy: 'Put it elsewhere with WATARI_CACHE.',
    };
  }
}

async function examineTool(tools: HostTools, tool: ToolName): Promise<Finding> {
  try {
    const { version, origin, path } = await tools.resolve(tool);
    return {
      id: tool,
      level: 'ok',
      summary: `${tool}${version ? ` ${version}` : ''} from the ${origin} (${path})`,
    };
  } catch (error) {
    return { id: tool, level: 'warning', summary: `${tool} is missing`, remedy: (error as Error).message };
  }
}

async function accelerator(tools: HostTools): Promise<Finding> {
  const { accelerator: by, reason, qemuVersion } = await probeAccelerator(tools);
  return by === 'kvm'
    ? { id: 'accelerator', level: 'ok', summary: `guests run by KVM: ${reason}` }
    : {
        id: 'accelerator',
        level: 'warning',
        summary: `guests run by software emulation, some ten times slower: ${reason}. QEMU ${qemuVersion} is safe for that (${QEMU_VERSION_MIN} or later).`,
        remedy: 'Use a machine with hardware virtualization for real guests.',
      };
}
