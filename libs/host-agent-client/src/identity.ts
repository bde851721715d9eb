import type { PeerCertificate } from 'node:tls';

/**
 * Who a certificate speaks for. It stands in the subject alternative name as
 * `URI:urn:watari:<role>:<id>`, exactly once; host names in certificates mean nothing here.
 */
export interface Identity {
  role: 'agent' | 'control-plane';
  id: string;
}

const URI_PATTERN = /^URI:urn:watari:(agent|control-plane):([A-Za-z0-9][A-Za-z0-9_-]{0,63})$/;

export function identityUri(identity: Identity): string {
  return `urn:watari:${identity.role}:${identity.id}`;
}

/** The identity in a verified peer certificate, or null when it holds none, several, or a name that is quoted. */
export function identityOf(
  certificate: Pick<PeerCertificate, 'subjectaltname'> | undefined,
): Identity | null {
  const names = certificate?.subjectaltname;
  // Node quotes names that could be mistaken for several; our authority never issues such names.
  if (!names || names.length > 4_096 || names.includes('"')) return null;
  const found = names.split(', ').flatMap((name) => {
    const match = URI_PATTERN.exec(name);
    return match ? [{ role: match[1] as Identity['role'], id: match[2] as string }] : [];
  });
  return found.length === 1 ? (found[0] as Identity) : null;
}
