import { widenUdevRules } from './widen-udev-rules';

const MAC = '52:54:00:00:00:01';
const NEW_MAC = '52:54:00:00:00:02';
const same = [{ oldMac: MAC, newMac: MAC }];
const moved = [{ oldMac: MAC, newMac: NEW_MAC }];

describe('names of NICs', () => {
  const rule = `SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", KERNELS=="0000:02:00.0", ATTR{address}=="${MAC}", KERNEL=="eth*", NAME="lan0"`;

  it('asks a rule no more for the slot', () =>
    expect(widenUdevRules(rule, same)).toBe(rule.replace('KERNELS=="0000:02:00.0", ', '')));

  it('adds a rule for the new address, once', () => {
    const once = widenUdevRules(rule, moved);
    expect(once.split('\n')).toHaveLength(2);
    expect(once.split('\n')[1]).toContain(NEW_MAC);
  });

  it('leaves rules of other NICs and comments', () => {
    const others = `# ${rule}\n${rule.replaceAll('01"', '09"')}`;
    expect(widenUdevRules(others, moved)).toBe(others);
  });
});
