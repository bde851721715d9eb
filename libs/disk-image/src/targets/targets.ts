import { containerOpenvz, containerSolarisLx, containerVirtuozzo } from './containers';
import { kvmVirtio, kvmVirtioScsi } from './kvm';
import { hypervGen1, hypervGen2, virtualServer2005 } from './microsoft';
import type { Target, TargetName } from './target';
import { vmwareLsi, vmwarePvscsi } from './vmware';
import { xenHvm, xenPv, xenPvh } from './xen';

/** Every target, by its name. */
export const TARGETS: Readonly<Record<TargetName, Target>> = {
  'kvm-virtio': kvmVirtio,
  'kvm-virtio-scsi': kvmVirtioScsi,
  'vmware-pvscsi': vmwarePvscsi,
  'vmware-lsi': vmwareLsi,
  'hyperv-gen1': hypervGen1,
  'hyperv-gen2': hypervGen2,
  'virtual-server-2005': virtualServer2005,
  'xen-pv': xenPv,
  'xen-pvh': xenPvh,
  'xen-hvm': xenHvm,
  'container-openvz': containerOpenvz,
  'container-virtuozzo': containerVirtuozzo,
  'container-solaris-lx': containerSolarisLx,
};

export function isTargetName(name: string): name is TargetName {
  return Object.hasOwn(TARGETS, name);
}
