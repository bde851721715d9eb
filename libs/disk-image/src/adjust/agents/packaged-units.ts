import type { InstalledPackages } from '../system/packages';
import type { AgentOwner } from './vendor-agents';

/** Packages that are for one kind of machine alone, whatever their units are called. */
const PACKAGES: readonly { readonly owner: AgentOwner; readonly pattern: RegExp }[] = [
  { owner: 'vmware', pattern: /^(open-vm-tools(-desktop)?|vmware-tools-[a-z-]+)$/ },
  { owner: 'hyperv', pattern: /^(hyperv-daemons|linux-cloud-tools-[a-z0-9.-]+)$/ },
  { owner: 'xen', pattern: /^(xe-guest-utilities|xen-guest-agent)$/ },
  { owner: 'virtualbox', pattern: /^virtualbox-guest-[a-z0-9-]+$/ },
  { owner: 'qemu', pattern: /^(qemu-guest-agent|spice-vdagent)$/ },
  {
    owner: 'cloud',
    pattern: /^(walinuxagent|waagent|google-[a-z-]*agent|google-compute-engine|amazon-ssm-agent)$/,
  },
  { owner: 'hardware', pattern: /^(srvadmin-[a-z0-9-]+|dcism|hp-health|hp-ams|hp-snmp-agents|hpsmh|amsd)$/ },
  { owner: 'hardware', pattern: /^(smartmontools|hddtemp|lm-sensors|fancontrol|thermald|mcelog)$/ },
  {
    owner: 'hardware',
    pattern: /^(ipmievd|openipmi|freeipmi-(bmc-watchdog|ipmidetect)|megaraid-[a-z0-9-]+)$/,
  },
];
const PACKAGES_MAX = 100;
const UNIT =
  /^\/(?:usr\/)?lib\/systemd\/system\/([A-Za-z0-9_.-]{1,120}\.(?:service|socket|timer|path|mount))$/;
const SCRIPT = /^\/etc\/(?:init\.d\/([A-Za-z0-9_.-]{1,120})|init\/([A-Za-z0-9_.-]{1,120})\.conf)$/;

/**
 * Units, init scripts and jobs of packages that are for another machine than the target, by what the package database
 * says that they brought. Services are named without `.service`.
 */
export async function packagedUnits(
  packages: InstalledPackages | undefined,
  isForeign: (owner: AgentOwner) => boolean,
): Promise<string[]> {
  const wanted = [...(packages?.names ?? [])].filter((name) =>
    PACKAGES.some(({ owner, pattern }) => isForeign(owner) && pattern.test(name)),
  );
  const found = new Set<string>();
  for (const name of wanted.slice(0, PACKAGES_MAX))
    for (const path of (await packages?.filesOf(name)) ?? []) {
      const script = SCRIPT.exec(path);
      const unit = UNIT.exec(path)?.[1] ?? script?.[1] ?? script?.[2];
      if (unit !== undefined) found.add(unit.replace(/\.service$/, ''));
    }
  return [...found];
}
