import type { WrittenKindName } from '../formats/written-kinds';
import type { ContainerTarget, Drivers, MachineTarget, Target } from './target';

/** What is known of a server, as far as a target asks for it. Absent is not known. */
export interface TargetFacts {
  readonly system: 'linux' | 'windows' | 'other';
  /** As the kernel names it, such as x86_64. */
  readonly architecture: string;
  readonly firmware: 'bios' | 'uefi' | 'unknown';
  readonly disks: readonly { readonly virtualBytes: number }[];
  readonly nicCount?: number;
  readonly cpuCount?: number;
  readonly memoryBytes?: number;
  /** Oldest first. The last is the one that boots. */
  readonly kernels: readonly KernelFacts[];
}

export interface KernelFacts {
  readonly version: string;
  /** Modules that it has, built in or as files, with underscores. */
  readonly modules?: ReadonlySet<string>;
  /** Options of its config that are `y` or `m`, as they are spelt there. */
  readonly options?: ReadonlySet<string>;
}

export type TargetProblemCode =
  | 'TARGET_SYSTEM_UNSUPPORTED'
  | 'TARGET_ARCHITECTURE_UNSUPPORTED'
  | 'TARGET_FIRMWARE_UNSUPPORTED'
  | 'TARGET_DISK_TOO_LARGE'
  | 'TARGET_TOO_MANY_DISKS'
  | 'TARGET_TOO_MANY_NICS'
  | 'TARGET_TOO_MANY_CPUS'
  | 'TARGET_TOO_MUCH_MEMORY'
  | 'TARGET_DRIVER_MISSING'
  | 'TARGET_KERNEL_UNSUPPORTED'
  | 'TARGET_IMAGE_KIND_UNSUPPORTED'
  | 'TARGET_NOT_KNOWN'
  | 'TARGET_NOT_PROVEN';

export interface TargetProblem {
  readonly code: TargetProblemCode;
  /** A refusal means that it would not run there; a warning, that it may not. */
  readonly severity: 'refusal' | 'warning';
  /** What is wrong, and what to do. */
  readonly message: string;
}

/** Other names of the architectures that targets name. */
const ARCHITECTURES: Readonly<Record<string, string>> = { amd64: 'x86_64', i386: 'i686', i586: 'i686' };

/**
 * What stands against running a server on a target, refusals first. Empty means that nothing known does.
 * `imageKind` is the kind of image that is to be written for it, if one is chosen.
 */
export function checkTarget(
  facts: TargetFacts,
  target: Target,
  imageKind?: WrittenKindName,
): readonly TargetProblem[] {
  const problems = [
    ...checkSystem(facts, target),
    ...checkSizes(facts, target),
    ...(target.kind === 'container' ? [] : checkBoot(facts, target)),
    ...(imageKind === undefined ? [] : checkImageKind(target, imageKind)),
    ...checkProof(target),
  ];
  const refusals = problems.filter(({ severity }) => severity === 'refusal');
  return [...refusals, ...problems.filter(({ severity }) => severity === 'warning')];
}

const refusal = (code: TargetProblemCode, message: string): TargetProblem => ({
  code,
  severity: 'refusal',
  message,
});
const warning = (code: TargetProblemCode, message: string): TargetProblem => ({
  code,
  severity: 'warning',
  message,
});

function checkSystem(facts: TargetFacts, target: Target): TargetProblem[] {
  const { title, limits } = target;
  const problems: TargetProblem[] = [];
  if (facts.system === 'other')
    problems.push(
      warning(
        'TARGET_NOT_KNOWN',
        `The system is neither Linux nor Windows, so its drivers for ${title} cannot be checked. Try the copy before the server is switched off.`,
      ),
    );
  if (facts.system === 'windows' && !limits.takesWindows)
    problems.push(
      refusal(
        'TARGET_SYSTEM_UNSUPPORTED',
        `${title} does not run Windows. Take a fully virtualized target, such as kvm-virtio, hyperv-gen1 or xen-hvm.`,
      ),
    );
  const architecture = ARCHITECTURES[facts.architecture] ?? facts.architecture;
  if (architecture === 'unknown')
    problems.push(
      warning(
        'TARGET_NOT_KNOWN',
        `The architecture of the system could not be told; ${title} runs ${limits.architectures.join(' and ')}.`,
      ),
    );
  else if (!limits.architectures.some((each) => each === architecture))
    problems.push(
      refusal(
        'TARGET_ARCHITECTURE_UNSUPPORTED',
        `The system is ${facts.architecture}, and ${title} runs ${limits.architectures.join(' and ')} alone. Take another target.`,
      ),
    );
  return problems;
}

function checkSizes(facts: TargetFacts, { title, limits }: Target): TargetProblem[] {
  const problems: TargetProblem[] = [];
  const check = (
    code: TargetProblemCode,
    value: number | undefined,
    max: number | undefined,
    message: (value: number, max: number) => string,
  ): void => {
    if (value !== undefined && max !== undefined && value > max)
      problems.push(refusal(code, message(value, max)));
  };
  const largest = Math.max(0, ...facts.disks.map(({ virtualBytes }) => virtualBytes));
  check(
    'TARGET_DISK_TOO_LARGE',
    largest,
    limits.virtualBytesMax,
    (value, max) =>
      `A disk has ${value} bytes, and ${title} takes up to ${max}. Shrink it, or take another target.`,
  );
  check(
    'TARGET_TOO_MANY_DISKS',
    facts.disks.length,
    limits.diskCountMax,
    (value, max) =>
      `The server has ${value} disks, and ${title} has room for ${max}. Put several together first.`,
  );
  check(
    'TARGET_TOO_MANY_NICS',
    facts.nicCount,
    limits.nicCountMax,
    (value, max) => `The server has ${value} NICs, and ${title} has ${max}. Leave out what is not in use.`,
  );
  check(
    'TARGET_TOO_MANY_CPUS',
    facts.cpuCount,
    limits.cpuCountMax,
    (value, max) => `The server has ${value} processors, and ${title} gives ${max}. Say that fewer will do.`,
  );
  check(
    'TARGET_TOO_MUCH_MEMORY',
    facts.memoryBytes,
    limits.memoryBytesMax,
    (value, max) =>
      `The server has ${value} bytes of memory, and ${title} gives up to ${max}. Say that less will do, or take another target.`,
  );
  return problems;
}

function checkBoot(facts: TargetFacts, target: MachineTarget): TargetProblem[] {
  return [...checkFirmware(facts, target), ...(facts.system === 'linux' ? checkKernels(facts, target) : [])];
}

function checkFirmware(facts: TargetFacts, { title, firmware }: MachineTarget): TargetProblem[] {
  // A hypervisor that loads the kernel itself does not mind what the server started by.
  if (firmware.length === 0) return [];
  if (facts.firmware === 'unknown')
    return [
      warning(
        'TARGET_NOT_KNOWN',
        `Whether the server starts by BIOS or UEFI could not be told; ${title} has ${firmware.join(' and ')}.`,
      ),
    ];
  if (firmware.includes(facts.firmware)) return [];
  return [
    refusal(
      'TARGET_FIRMWARE_UNSUPPORTED',
      `The server starts by ${facts.firmware.toUpperCase()}, and ${title} has ${firmware.join(' and ').toUpperCase()} alone. Take a target with the same firmware${facts.firmware === 'uefi' ? ', such as hyperv-gen2 or kvm-virtio' : ', such as hyperv-gen1 or kvm-virtio'}.`,
    ),
  ];
}

/** The newest kernel is the one that boots; what an older one lacks is worth a warning. */
function checkKernels(facts: TargetFacts, target: MachineTarget): TargetProblem[] {
  const { title } = target;
  const newest = facts.kernels.at(-1);
  if (!newest)
    return [
      refusal(
        'TARGET_KERNEL_UNSUPPORTED',
        'No kernel was found on the disk. Give the disk that the server starts from.',
      ),
    ];
  const problems: TargetProblem[] = [];
  for (const kernel of facts.kernels) {
    const add = kernel === newest ? refusal : warning;
    const missing = missingFrom(kernel.modules, target.disk.drivers);
    if (missing.length > 0)
      problems.push(
        add(
          'TARGET_DRIVER_MISSING',
          `The kernel ${kernel.version} has no driver ${missing.join(', ')}, without which it does not reach its disk on ${title}. Install a distribution kernel with all of its modules on the server.`,
        ),
      );
    const missingNic = missingFrom(kernel.modules, target.nic.drivers);
    if (missingNic.length > 0)
      problems.push(
        warning(
          'TARGET_DRIVER_MISSING',
          `The kernel ${kernel.version} has no driver ${missingNic.join(', ')}, without which it has no network on ${title}. Install a distribution kernel with all of its modules on the server.`,
        ),
      );
    const { options } = kernel;
    const lacking = options ? target.kernelOptions.filter((option) => !options.has(option)) : [];
    if (lacking.length > 0)
      problems.push(
        add(
          'TARGET_KERNEL_UNSUPPORTED',
          `The kernel ${kernel.version} was built without ${lacking.join(', ')}, and ${title} starts no other. Install a kernel that has it, or take another target.`,
        ),
      );
  }
  if (!newest.modules || (target.kernelOptions.length > 0 && !newest.options))
    problems.push(
      warning(
        'TARGET_NOT_KNOWN',
        `What the kernel ${newest.version} has could not be read in full (its list of modules, or its config in /boot), so whether it runs on ${title} is open.`,
      ),
    );
  return problems;
}

function missingFrom(modules: ReadonlySet<string> | undefined, { required }: Drivers): string[] {
  return modules ? required.filter((name) => !modules.has(name)) : [];
}

function checkImageKind(target: Target, imageKind: WrittenKindName): TargetProblem[] {
  const { title, imageKinds } = target;
  if (imageKinds.includes(imageKind)) return [];
  const todo =
    imageKinds.length > 0
      ? `It takes ${imageKinds.join(', ')}.`
      : `It takes the file tree as ${(target as ContainerTarget).artifact}, not an image.`;
  return [
    refusal(
      'TARGET_IMAGE_KIND_UNSUPPORTED',
      `${title} does not take images of the kind ${imageKind}. ${todo}`,
    ),
  ];
}

function checkProof({ title, bootProof }: Target): TargetProblem[] {
  if (bootProof.kind === 'none')
    return [warning('TARGET_NOT_PROVEN', `A boot on ${title} cannot be tried here: ${bootProof.why}`)];
  if (bootProof.unproven === undefined) return [];
  return [warning('TARGET_NOT_PROVEN', `A boot on ${title} can be tried in part: ${bootProof.unproven}`)];
}
