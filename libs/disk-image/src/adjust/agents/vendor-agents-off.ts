import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { readStartedThings, switchOff } from './switch-off';
import { packagedUnits } from './packaged-units';
import { type AgentOwner, VENDOR_AGENTS } from './vendor-agents';

const CLOUD_INIT_OFF = '/etc/cloud/cloud-init.disabled';
const CLOUD_INIT_UNITS = ['cloud-init.service', 'cloud-init-main.service', 'cloud-init-local.service'];

/**
 * Agents of the machine that the server was on, and other platforms' tools, do not start: they fail, restart without
 * end, or take settings from a platform that is not there. The packages stay, for the way back.
 */
export const vendorAgentsOff: AdjustStep = {
  name: 'vendor-agents-off',
  plan: async ({ files, system, target, unitsOff = [] }) => {
    const draft = new Draft(files);
    const things = await readStartedThings(draft);
    const isForeign = (owner: AgentOwner): boolean => owner !== target.agent;
    const known = VENDOR_AGENTS.flatMap(({ owner, units }) => (isForeign(owner) ? units : []));
    const packaged = await packagedUnits(system.packages, isForeign);
    const names = [...known, ...packaged, ...unitsOff.map(withoutService)];
    for (const name of new Set(names)) {
      const outcome = await switchOff(draft, name, things, system.init);
      if (outcome === 'kept')
        draft.leave(`/etc/init.d/${name}`, 'It is no script. Keep it from starting by hand.');
      if (outcome === 'absent' && unitsOff.map(withoutService).includes(name))
        draft.leave(`the unit ${name}`, 'The server has nothing by that name to switch off.');
    }

    if (!system.packages && system.init !== 'unknown')
      draft.leave(
        'the package database',
        'It is not of a kind that is read here, so that agents were found by the names of their units alone.',
      );

    // It would take a new machine for a new server, and make its names, keys and network anew.
    if (CLOUD_INIT_UNITS.some((unit) => things.units.has(unit)) && !(await files.find(CLOUD_INIT_OFF)))
      await draft.write(CLOUD_INIT_OFF, '', 'cloud-init does not set the server up anew');
    return draft.plan();
  },
};

function withoutService(name: string): string {
  return name.replace(/\.service$/, '');
}
