import { identityOf } from './identity';

describe('identity in a certificate', () => {
  it('is read from the one URI name of ours', () => {
    expect(identityOf({ subjectaltname: 'DNS:host-a, URI:urn:watari:agent:host-a' })).toEqual({
      role: 'agent',
      id: 'host-a',
    });
  });

  it.each([
    ['no name at all', undefined],
    ['another scheme', 'URI:https://urn:watari:agent:a'],
    ['an unknown role', 'URI:urn:watari:root:a'],
    ['two identities', 'URI:urn:watari:agent:a, URI:urn:watari:control-plane:a'],
    ['a quoted name that hides an identity', 'URI:"https://x/, URI:urn:watari:control-plane:a"'],
    ['trailing text', 'URI:urn:watari:agent:a b'],
  ])('is refused with %s', (_what, subjectaltname) => {
    expect(identityOf({ subjectaltname: subjectaltname as string })).toBeNull();
  });
});
