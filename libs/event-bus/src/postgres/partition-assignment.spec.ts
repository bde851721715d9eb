import { assignPartitions, type PartitionClaim } from './partition-assignment';

const claimsOf = (topic: string, owners: (string | null)[]): PartitionClaim[] =>
  owners.map((owner, partition) => ({ topic, partition, owner }));
const member = (name: string, ...topics: string[]) => ({ member: name, topics });

function countByOwner(wanted: Map<string, string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const owner of wanted.values()) counts[owner] = (counts[owner] ?? 0) + 1;
  return counts;
}

describe('assignPartitions', () => {
  it('gives a lone member everything it subscribes to and nothing else', () => {
    const claims = [...claimsOf('a', [null, null]), ...claimsOf('b', [null])];
    const wanted = assignPartitions([member('m', 'a')], claims);
    expect([...wanted]).toEqual([
      ['a/0', 'm'],
      ['a/1', 'm'],
    ]);
  });

  it('moves no more than the newcomer must get', () => {
    const wanted = assignPartitions(
      [member('m', 'a'), member('n', 'a')],
      claimsOf('a', ['m', 'm', 'm', 'm']),
    );
    expect(countByOwner(wanted)).toEqual({ m: 2, n: 2 });
    expect([wanted.get('a/0'), wanted.get('a/1')]).toEqual(['m', 'm']);
  });

  it('hands the partitions of a member that is gone to those who stay, and moves no other', () => {
    const claims = claimsOf('a', ['m', 'gone', 'n', 'gone']);
    const wanted = assignPartitions([member('m', 'a'), member('n', 'a')], claims);
    expect(countByOwner(wanted)).toEqual({ m: 2, n: 2 });
    expect([wanted.get('a/0'), wanted.get('a/2')]).toEqual(['m', 'n']);
  });

  it('does not give the larger share of every topic to the same member', () => {
    const claims = ['a', 'b', 'c', 'd'].flatMap((topic) => claimsOf(topic, [null, null, null]));
    const wanted = assignPartitions(
      [member('m', 'a', 'b', 'c', 'd'), member('n', 'a', 'b', 'c', 'd')],
      claims,
    );
    expect(countByOwner(wanted)).toEqual({ m: 6, n: 6 });
  });

  it('leaves members without a share when there are more of them than partitions', () => {
    const members = ['m', 'n', 'o'].map((name) => member(name, 'a'));
    expect(countByOwner(assignPartitions(members, claimsOf('a', [null, null])))).toEqual({ m: 1, n: 1 });
  });

  it('is at rest once reached, whoever joined and left before', () => {
    let claims = claimsOf(
      'a',
      Array.from({ length: 12 }, () => null),
    );
    const names = ['m', 'n', 'o', 'p', 'q'];
    for (let step = 0; step < 40; step += 1) {
      const alive = names.filter((_, index) => (step * 7 + index * 3) % 4 !== 0);
      if (alive.length === 0) continue;
      const members = alive.map((name) => member(name, 'a'));
      const wanted = assignPartitions(members, claims);
      claims = claims.map((claim) => ({ ...claim, owner: wanted.get(`a/${claim.partition}`) ?? null }));
      const counts = Object.values(countByOwner(wanted));
      expect(wanted.size).toBe(12);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      expect([...assignPartitions(members, claims)]).toEqual([...wanted].sort(byPartition));
    }
  });
});

function byPartition([a]: [string, string], [b]: [string, string]): number {
  return Number(a.split('/')[1]) - Number(b.split('/')[1]);
}
