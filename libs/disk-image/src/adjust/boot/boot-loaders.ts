import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { planBootEntries } from './boot-entries';
import { planGrub2 } from './grub2';
import { planOtherLoaders } from './other-loaders';

/**
 * Whatever loader starts the guest gives the kernel its root and its swap area by names that stay, and consoles that
 * the target has, so that a person, and a boot proof, see what it says.
 */
export const adjustBootLoaders: AdjustStep = {
  name: 'boot-loaders',
  plan: async ({ files, devices, target }) => {
    const draft = new Draft(files);
    await planGrub2(draft, devices, target);
    await planBootEntries(draft, devices, target);
    await planOtherLoaders(draft, devices, target);
    return draft.plan();
  },
};
