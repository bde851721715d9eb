import type { AgentFamily } from '../adjustment';

/** Whose machine an agent is for. `hardware`: a vendor's physical servers. `cloud`: a provider's own machines. */
export type AgentOwner = AgentFamily | 'hardware' | 'cloud';

export interface VendorAgent {
  readonly owner: AgentOwner;
  /** For people. */
  readonly name: string;
  /** Names of units without their type are services; of scripts in /etc/init.d and of upstart's jobs, too. */
  readonly units: readonly string[];
}

/**
 * What runs on a server for the machine that it was on, by the names that the packages of Debian, Ubuntu, the Red Hat
 * family and SUSE, and the vendors' own, give to units and init scripts.
 */
export const VENDOR_AGENTS: readonly VendorAgent[] = [
  {
    owner: 'vmware',
    name: 'VMware tools',
    units: [
      'open-vm-tools',
      'vmtoolsd',
      'vgauth',
      'vgauthd',
      'vmware-tools',
      'vmware-tools-services',
      'vmware-tools-thinprint',
      'vmware-vmblock-fuse',
    ],
  },
  {
    owner: 'hyperv',
    name: 'Hyper-V daemons',
    units: [
      'hypervkvpd',
      'hypervvssd',
      'hypervfcopyd',
      'hv-kvp-daemon',
      'hv-vss-daemon',
      'hv-fcopy-daemon',
      'hv_kvp_daemon',
      'hv_vss_daemon',
      'hv_fcopy_daemon',
    ],
  },
  {
    owner: 'xen',
    name: 'Xen guest utilities',
    units: ['xe-linux-distribution', 'xe-daemon', 'xen-guest-agent', 'xe-guest-utilities'],
  },
  {
    owner: 'virtualbox',
    name: 'VirtualBox additions',
    units: [
      'vboxadd',
      'vboxadd-service',
      'vboxadd-x11',
      'vboxservice',
      'virtualbox-guest-utils',
      'vboxclient',
    ],
  },
  {
    owner: 'parallels',
    name: 'Parallels tools',
    units: ['prltoolsd', 'prl-tools', 'prl-x11', 'prlshprint', 'prl_vzvncserver'],
  },
  {
    owner: 'qemu',
    name: 'QEMU guest agent',
    units: ['qemu-guest-agent', 'qemu-ga', 'spice-vdagentd', 'spice-vdagentd.socket', 'spice-vdagent'],
  },
  {
    owner: 'cloud',
    name: "a cloud provider's agent",
    units: [
      'walinuxagent',
      'waagent',
      'google-guest-agent',
      'google-guest-agent-manager',
      'google-guest-compat-manager',
      'google-osconfig-agent',
      'google-startup-scripts',
      'google-shutdown-scripts',
      'google-oslogin-cache.timer',
      'amazon-ssm-agent',
      'snap.amazon-ssm-agent.amazon-ssm-agent',
      'hibinit-agent',
      'oracle-cloud-agent',
      'oracle-cloud-agent-updater',
      'snap.oracle-cloud-agent.oracle-cloud-agent',
      'aliyun',
      'aegis',
      'do-agent',
    ],
  },
  {
    owner: 'hardware',
    name: 'HPE server agents',
    units: [
      'hp-health',
      'hp-asrd',
      'hp-snmp-agents',
      'hp-ams',
      'hpsmhd',
      'amsd',
      'amsd_rev',
      'smad',
      'smad_rev',
      'ahslog',
      'cpqFca',
      'cpqIde',
      'cpqScsi',
      'mr_cpqScsi',
    ],
  },
  {
    owner: 'hardware',
    name: 'Dell server agents',
    units: [
      'dataeng',
      'dsm_sa_datamgrd',
      'dsm_sa_eventmgrd',
      'dsm_sa_snmpd',
      'dsm_sa_ipmi',
      'dsm_om_connsvc',
      'dsm_om_shrsvc',
      'instsvcdrv',
      'dcismeng',
    ],
  },
  {
    owner: 'hardware',
    name: 'RAID controller agents',
    units: [
      'vivaldiframeworkd',
      'lsi_mrdsnmpd',
      'MegaCtrl',
      'mrmonitor',
      'iprinit',
      'iprupdate',
      'iprdump',
      'stor_agent',
    ],
  },
  {
    owner: 'hardware',
    name: 'management controller services',
    units: [
      'ipmi',
      'openipmi',
      'ipmievd',
      'ipmidetectd',
      'bmc-snmp-proxy',
      'bmc-watchdog',
      'freeipmi-bmc-watchdog',
    ],
  },
  {
    owner: 'hardware',
    name: 'sensors, disks and memory of the physical machine',
    units: [
      'smartd',
      'smartmontools',
      'hddtemp',
      'lm_sensors',
      'lm-sensors',
      'sensord',
      'fancontrol',
      'thermald',
      'mcelog',
      'edac',
      'kudzu',
    ],
  },
];
