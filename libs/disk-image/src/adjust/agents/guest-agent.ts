import type { AdjustStep, AgentFamily } from '../adjustment';
import { Draft } from '../draft';
import type { DistributionFamily } from '../system/guest-system';

interface GuestAgent {
  /** One of them is there when the agent is installed. */
  readonly programs: readonly string[];
  readonly unit: string;
  readonly packages: Partial<Record<DistributionFamily, string>>;
}

const AGENTS: Partial<Record<AgentFamily, GuestAgent>> = {
  qemu: {
    programs: ['/usr/sbin/qemu-ga', '/usr/bin/qemu-ga'],
    unit: 'qemu-guest-agent.service',
    packages: { debian: 'qemu-guest-agent', redhat: 'qemu-guest-agent', suse: 'qemu-guest-agent' },
  },
  vmware: {
    programs: ['/usr/bin/vmtoolsd'],
    unit: 'vmtoolsd.service',
    packages: { debian: 'open-vm-tools', redhat: 'open-vm-tools', suse: 'open-vm-tools' },
  },
  hyperv: {
    programs: ['/usr/sbin/hypervkvpd', '/usr/sbin/hv_kvp_daemon', '/usr/lib/hyper-v/bin/hv_kvp_daemon'],
    unit: 'hypervkvpd.service',
    packages: { debian: 'hyperv-daemons', redhat: 'hyperv-daemons', suse: 'hyper-v' },
  },
};

/** `@` is the package. They wait for another run of the package manager, ask nothing, and fail where there is no network. */
const INSTALL: Partial<Record<DistributionFamily, string>> = {
  debian:
    'export DEBIAN_FRONTEND=noninteractive; apt-get -q update; exec apt-get -q -y -o DPkg::Lock::Timeout=300 install @',
  redhat: 'if command -v dnf; then exec dnf -q -y install @; else exec yum -q -y install @; fi',
  suse: 'exec zypper --non-interactive --quiet install --no-recommends @',
};

const UNITS = '/etc/systemd/system';
const SERVICE = 'watari-install-agent.service';
const TIMER = 'watari-install-agent.timer';
const DROP_IN = `${UNITS}/timers.target.d/90-watari-install-agent.conf`;

/**
 * The target's agent runs in the guest: what is installed is started by its own package; otherwise the guest installs
 * it from its own package sources, once it is up. A timer does that, so that no start waits for it, and tries again.
 */
export const guestAgentOn: AdjustStep = {
  name: 'guest-agent-on',
  plan: async ({ files, system, target }) => {
    const draft = new Draft(files);
    const agent = target.agent && AGENTS[target.agent];
    if (!target.agent) return draft.plan();
    const leave = (why: string): void =>
      draft.leave(`the guest agent for ${target.agent}`, `${why} Install it by hand.`);
    if (!agent) leave('No package of it is known.');
    if (!agent) return draft.plan();

    for (const program of agent.programs) if (await files.find(program)) return draft.plan();
    if (!target.installsAgent) return draft.plan();
    const name = agent.packages[system.family];
    const install = INSTALL[system.family];
    if (name === undefined || install === undefined)
      leave(`How ${system.name} installs packages is not known.`);
    else if (system.init !== 'systemd')
      leave('The server starts without systemd, whose timer would install it.');
    else {
      const reason = `the guest installs ${name} after its first start`;
      await draft.write(`${UNITS}/${SERVICE}`, serviceOf(agent, install.replaceAll('@', name)), reason);
      await draft.write(`${UNITS}/${TIMER}`, timerOf(agent), reason);
      await draft.write(DROP_IN, `[Unit]\nWants=${TIMER}\n`, reason);
    }
    return draft.plan();
  },
};

/** The conditions are the timer's: a timer whose service is passed over would try again at once, without end. */
function timerOf({ programs }: GuestAgent): string {
  return [
    '[Unit]',
    'Description=Installs the guest agent once the server is up',
    ...programs.map((program) => `ConditionPathExists=!${program}`),
    '',
    '[Timer]',
    'OnBootSec=1min',
    'OnUnitInactiveSec=1h',
    '',
  ].join('\n');
}

function serviceOf({ programs, unit }: GuestAgent, install: string): string {
  const isThere = programs.map((program) => `test -e ${program}`).join(' || ');
  return [
    '[Unit]',
    'Description=Installs the guest agent',
    'Wants=network-online.target',
    'After=network-online.target',
    '',
    '[Service]',
    'Type=oneshot',
    'TimeoutStartSec=15min',
    `ExecStart=/bin/sh -c '${isThere} || { ${install}; }'`,
    // A package may leave the start to the next boot.
    `ExecStartPost=-/bin/sh -c 'systemctl --no-block start ${unit}'`,
    '',
  ].join('\n');
}
