export interface GroupMember {
  readonly member: string;
  readonly topics: readonly string[];
}

export interface PartitionClaim {
  readonly topic: string;
  readonly partition: number;
  readonly owner: string | null;
}

/**
 * Who should own what: every member of the group computes the same answer from the same rows. Shares of a topic
 * differ by one at most; a partition stays where it is as long as its owner's share allows; which members get
 * the larger shares turns with the topic, so that the first member does not get them all.
 * Keys of the answer are `topic/partition`.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  claims: readonly PartitionClaim[],
): Map<string, string> {
  const wanted = new Map<string, string>();
  const topics = [...new Set(claims.map(({ topic }) => topic))].sort();
  topics.forEach((topic, topicIndex) => {
    const candidates = members
      .filter((member) => member.topics.includes(topic))
      .map(({ member }) => member)
      .sort();
    const partitions = claims
      .filter((claim) => claim.topic === topic)
      .sort((a, b) => a.partition - b.partition);
    const room = shares(candidates, partitions.length, topicIndex);
    const homeless: PartitionClaim[] = [];
    for (const claim of partitions) {
      const left = claim.owner === null ? 0 : (room.get(claim.owner) ?? 0);
      if (claim.owner === null || left === 0) {
        homeless.push(claim);
        continue;
      }
      room.set(claim.owner, left - 1);
      wanted.set(partitionKey(claim), claim.owner);
    }
    for (const claim of homeless) {
      const member = candidates.find((candidate) => (room.get(candidate) ?? 0) > 0);
      if (member === undefined) continue;
      room.set(member, (room.get(member) ?? 0) - 1);
      wanted.set(partitionKey(claim), member);
    }
  });
  return wanted;
}

function shares(candidates: readonly string[], count: number, turn: number): Map<string, number> {
  const base = Math.floor(count / Math.max(1, candidates.length));
  const larger = count - base * candidates.length;
  return new Map(
    candidates.map((_, index) => {
      const member = candidates[(index + turn) % candidates.length] ?? '';
      return [member, base + (index < larger ? 1 : 0)];
    }),
  );
}

export function partitionKey({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}
