import type { AdjustStep } from '../adjustment';
import { Draft } from '../draft';
import { readVariable } from '../network/shell-variables';

const SETTINGS = '/etc/selinux/config';
const MARK = '/.autorelabel';

/**
 * Files that were made have no label, and what SELinux confines could not read them. The guest's own start labels all
 * files anew when it finds this mark, takes it away, and starts once more. Replaced files keep theirs.
 */
export const selinuxRelabel: AdjustStep = {
  name: 'selinux-relabel',
  plan: async ({ files, created }) => {
    const draft = new Draft(files);
    const mode = readVariable((await draft.text(SETTINGS)) ?? '', 'SELINUX');
    const isOn = mode === 'enforcing' || mode === 'permissive';
    if (isOn && created.size > 0 && !(await files.find(MARK)))
      await draft.write(MARK, '', 'the guest labels its files at its first start, and starts once more');
    return draft.plan();
  },
};
