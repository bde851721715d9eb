import { Mailbox } from './mailbox';

describe('waiting for the other agent', () => {
  it('ends with the reason of the signal, and leaves nothing behind that could fail unseen', async () => {
    const unseen = jest.fn();
    process.on('unhandledRejection', unseen);
    try {
      const abort = new AbortController();
      abort.abort(new Error('the link was lost'));
      const failing = new Promise<never>((_, reject) =>
        setImmediate(() => reject(new Error('lost as well'))),
      );
      await expect(Mailbox.race(failing, abort.signal)).rejects.toThrow('the link was lost');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(unseen).not.toHaveBeenCalled();
    } finally {
      process.off('unhandledRejection', unseen);
    }
  });

  it('keeps what came before it was waited for', async () => {
    const mailbox = new Mailbox<{ kind: 'a' } | { kind: 'b'; n: number }>(new AbortController().signal);
    mailbox.put({ kind: 'b', n: 1 });
    mailbox.put({ kind: 'b', n: 2 });
    expect(await mailbox.expect('b', 10)).toEqual({ kind: 'b', n: 1 });
    await expect(mailbox.expect('a', 10)).rejects.toMatchObject({ code: 'PEER_SILENT' });
    expect(await mailbox.expect('b', 10)).toEqual({ kind: 'b', n: 2 });
  });
});
