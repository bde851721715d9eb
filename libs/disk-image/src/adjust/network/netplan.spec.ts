import { MOVED, NEW_MAC, OLD_MAC, carryOut } from '../testing/carry-out';
import { keepNics } from './keep-nics';

const OUR_RULES = '/etc/udev/rules.d/70-watari-net.rules';

/** The rules that we wrote, as address and name. */
function bound(files: Record<string, string>): string[][] {
  const lines = (files[OUR_RULES] ?? '').split('\n').filter((line) => line.includes('NAME='));
  return lines.map((line) => [
    /address\}=="([^"]+)"/.exec(line)?.[1] ?? '',
    / NAME="([^"]+)"/.exec(line)?.[1] ?? '',
  ]);
}

describe('NICs with netplan', () => {
  const path = '/etc/netplan/50-cloud-init.yaml';

  it('lets a match by address be the name that was set, and keeps comments', async () => {
    const tree = {
      [path]: `# by hand\nnetwork:\n  version: 2\n  ethernets:\n    eno1: # the first\n      match:\n        macaddress: "${OLD_MAC}"\n      set-name: eno1\n      addresses: [192.0.2.1/24]\n`,
    };
    const { files } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(files[path]).toContain('# by hand');
    expect(files[path]).toContain('# the first');
    expect(files[path]?.replace(/\s+/g, ' ')).toBe(
      '# by hand network: version: 2 ethernets: eno1: # the first addresses: [ 192.0.2.1/24 ] ',
    );
    expect(bound(files)).toEqual([
      [OLD_MAC, 'eno1'],
      [NEW_MAC, 'eno1'],
    ]);
  });

  it('matches by the name where the definition has another id', async () => {
    const tree = {
      [path]: `network:\n  ethernets:\n    uplink:\n      match: {macaddress: "${OLD_MAC}"}\n      set-name: lan0\n      dhcp4: true\n`,
    };
    const { files } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(files[path]).toContain('      match:\n        name: lan0\n');
    expect(files[path]).not.toContain('macaddress');
  });

  it('takes the new address where no name is set', async () => {
    const tree = {
      [path]: `network:\n  ethernets:\n    id0:\n      match:\n        macaddress: ${OLD_MAC}\n      dhcp4: true\n`,
    };
    const { changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(changed[path]).toContain(`macaddress: ${NEW_MAC}`);
    expect(Object.keys(changed)).toEqual([path]);
  });

  it('leaves what other places refer to', async () => {
    const tree = {
      [path]: `network:\n  ethernets:\n    a:\n      match: &m {macaddress: "${OLD_MAC}"}\n      set-name: lan0\n    b:\n      match: *m\n`,
    };
    const { changed, leftUndone } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(Object.keys(changed)).toEqual([OUR_RULES]);
    expect(leftUndone[0]).toContain('used in another place');
  });

  it('takes the id for the name where nothing is matched', async () => {
    const tree = { [path]: 'network: {ethernets: {eth0: {dhcp4: true}}}\n' };
    const { files, changed } = await carryOut(tree, [keepNics], { nics: MOVED });
    expect(Object.keys(changed)).toEqual([OUR_RULES]);
    expect(bound(files)).toHaveLength(2);
  });

  it.each([
    ['brackets in brackets without end', '['.repeat(32_000)],
    ['maps in maps without end', '{a: '.repeat(8_000)],
    ['lists in lists without end', '- '.repeat(16_000)],
    ['keys that are maps', '? '.repeat(16_000)],
    ['anchors without end', 'a: &a [*a, *a, *a]\n'.repeat(1_500)],
    ['quotes without end', "'".repeat(32_000)],
    ['an anchor that holds itself', 'network: &a\n  ethernets:\n    eth0: *a\n'],
    ['what is no YAML', 'network: [\n'],
    ['more than any netplan file has', `#${'x'.repeat(70_000)}`],
    ['a list for a map', 'network:\n  ethernets: [1, 2]\n'],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
  ])('survives %s', async (_name, content) => {
    const { changed } = await carryOut({ [path]: content }, [keepNics], { nics: MOVED });
    expect(changed).toEqual({});
  });
});
