import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';

/** Changes nothing: says what could not be taken for granted of a distribution that is not known here. */
export const knownDistribution: AdjustStep = {
  name: 'known-distribution',
  plan: ({ files, system }) => {
    const draft = new Draft(files);
    if (system.family === 'unknown')
      draft.leave(
        system.name,
        'This distribution is not known. What every Linux has was adjusted: mounts, boot loader, names of NICs, initramfs. Its own network settings, agents and services were not. Try the result before you rely on it.',
      );
    if (system.init === 'unknown')
      draft.leave('the init system', 'It is not known, so that no service was switched on or off.');
    return Promise.resolve(draft.plan());
  },
};
