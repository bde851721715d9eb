import { MOVE_PROTOCOL_VERSION, SourceMessageSchema } from './messages';
import { refuseOtherVersion } from './protocol-version';

describe('the version of the move protocol', () => {
  it('is looked at before the rest of an announcement, whatever form that has', () => {
    const future = {
      kind: 'announce',
      protocolVersion: MOVE_PROTOCOL_VERSION + 1,
      everythingElse: ['is', 'new'],
    };
    expect(SourceMessageSchema.safeParse(future).success).toBe(false);
    expect(() => refuseOtherVersion(future)).toThrow(
      expect.objectContaining({
        code: 'MOVE_PROTOCOL_UNKNOWN',
        message: expect.stringContaining(
          'Update Watari on the target to the version of the source',
        ) as string,
      }),
    );
  });

  it('says that the older side is to be updated when that is the source', () => {
    expect(() => refuseOtherVersion({ kind: 'announce', protocolVersion: 1 })).toThrow(
      'Update Watari on the source to the version of the target',
    );
  });

  it.each([
    ['an announcement of this version', { kind: 'announce', protocolVersion: MOVE_PROTOCOL_VERSION }],
    ['an announcement without a version', { kind: 'announce' }],
    ['a version that is no number', { kind: 'announce', protocolVersion: '9' }],
    ['another message', { kind: 'ping', id: 1, protocolVersion: 9 }],
    ['what is no message', [4]],
    ['nothing', undefined],
  ])('leaves %s to whoever reads it', (_what, message) => {
    expect(() => refuseOtherVersion(message)).not.toThrow();
  });
});
