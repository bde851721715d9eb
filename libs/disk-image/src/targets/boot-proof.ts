import type { Target } from './target';

export interface ProofMachine {
  /** Id of the `-drive` or `-blockdev` with the disk. */
  readonly driveId: string;
  readonly nics: readonly { readonly netdevId: string; readonly mac: string }[];
}

const ID = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/**
 * QEMU's arguments for a machine with the target's hardware: machine, processor, controllers, disk and NICs.
 * Undefined where QEMU has nothing like it; the target says why.
 */
export function proofArguments({ bootProof }: Target, machine: ProofMachine): string[] | undefined {
  if (bootProof.kind === 'none') return undefined;
  refuseOddIds(machine);
  const disk = bootProof.disk.map((device) => device.replace('{drive}', machine.driveId));
  const nics = machine.nics.map(({ netdevId, mac }) => `${bootProof.nic},netdev=${netdevId},mac=${mac}`);
  return [
    ...['-machine', bootProof.machine, '-cpu', bootProof.cpu],
    ...[...disk, ...nics].flatMap((device) => ['-device', device]),
  ];
}

/** A comma would begin another property. */
function refuseOddIds({ driveId, nics }: ProofMachine): void {
  for (const id of [driveId, ...nics.map(({ netdevId }) => netdevId)])
    if (!ID.test(id)) throw new RangeError(`"${id}" is no id of QEMU's.`);
  for (const { mac } of nics) if (!MAC.test(mac)) throw new RangeError(`"${mac}" is no address of a NIC.`);
}
