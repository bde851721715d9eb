import { MessageChannel } from 'node:worker_threads';

import { AgentError } from '../errors';
import { answerCalls, Calls } from './calls';

interface Sums {
  add(a: number, b: number): Promise<number>;
  fail(): Promise<void>;
  never(): Promise<void>;
}

function connected() {
  const { port1, port2 } = new MessageChannel();
  answerCalls<Sums>(port2, {
    add: async (a, b) => a + b,
    fail: () => Promise.reject(new AgentError('SUM_TOO_LARGE', 'It does not fit.')),
    never: () => new Promise(() => undefined),
  });
  return { calls: new Calls<Sums>(port1), close: () => port1.close() };
}

it('answers each call with its own result', async () => {
  const { calls, close } = connected();
  expect(await Promise.all([calls.call('add', [1, 2]), calls.call('add', [3, 4])])).toEqual([3, 7]);
  close();
});

it('rejects with the code and the words of what the other thread threw', async () => {
  const { calls, close } = connected();
  await expect(calls.call('fail', [])).rejects.toMatchObject({
    code: 'SUM_TOO_LARGE',
    message: 'It does not fit.',
  });
  close();
});

it('rejects what waits, and what comes later, once the other thread is gone', async () => {
  const { calls, close } = connected();
  const waiting = calls.call('never', []);
  calls.end(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  await expect(calls.call('add', [1, 1])).rejects.toThrow('gone');
  close();
});
